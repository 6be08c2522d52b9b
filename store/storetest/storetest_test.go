package storetest_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/migrations"
	"scaling.cloud/mcp/store/storetest"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			if _, err := s.Pool().Exec(t.Context(), `CREATE TABLE mine (n int)`); err != nil {
				t.Errorf("creating a table that every one of these tests creates: %v", err)
			}
			pending, err := migrations.Pending(t.Context(), s.Pool().Config().ConnString())
			if err != nil {
				t.Fatal(err)
			}
			if pending {
				t.Error("the database lacks a migration")
			}
		})
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	var name string
	t.Run("inner", func(t *testing.T) {
		s := storetest.Open(t)
		if err := s.Pool().QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	var left int
	err := storetest.Open(t).Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname = $1`, name).Scan(&left)
	if err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("database %s still exists after its test", name)
	}
}

func TestEachTestHasItsOwnRedis(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			options, err := redis.ParseURL(storetest.Redis(t))
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(options)
			defer client.Close()
			added, err := client.SetNX(t.Context(), "key", "value", 0).Result()
			if err != nil {
				t.Fatal(err)
			}
			if !added {
				t.Error("the key exists already: another test's server")
			}
		})
	}
}

package resource_test

import (
	"strings"
	"testing"

	"scaling.cloud/mcp/npmtest/conformance"
	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/wiretest"
)

// TestConformance lets the MCP conformance suite speak to the gate, the guard and
// the SDK as the product has them, with the tools that the suite calls behind them.
func TestConformance(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, func(c *resource.Config) { c.AllowLoopbackOrigins = true })
	resource.OfferEverything(f.server)
	watched := wiretest.WatchOther(t, f.mux)
	url := conformance.Serve(t, f.sign(t, claims(everything...)), watched) + "/mcp"
	for _, run := range []struct {
		suite    conformance.Suite
		revision string
	}{
		{conformance.Released, "2025-11-25"},
		{conformance.Coming, "2025-06-18"},
		{conformance.Coming, "2025-11-25"},
		{conformance.Coming, "2026-07-28"},
	} {
		t.Run(run.suite.Version(t)+"/"+run.revision, func(t *testing.T) {
			conformance.Judge(t, run.suite.Server(t, url, run.revision), conformance.Expect(t, "testdata/conformance/"+run.revision+".yml"))
		})
	}
	if seen := watched.Seen(); seen["jsonrpc"] < 100 || seen["schema of a tool"] < 20 {
		t.Errorf("of all that passed only %v was looked at", seen)
	}
	if log := f.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("a fault of ours:\n%s", log)
	}
}

package ui

import (
	"slices"
	"strconv"
	"strings"
)

// barsHeight is the height of the tallest bar, in pixels.
const barsHeight = 16

// bar is the height of a bar, in pixels. Of what is not nothing there is
// something to be seen, and of nothing the ground that it would stand on.
func bar(n int, all []int) int {
	if n == 0 {
		return 1
	}
	return max(3, n*barsHeight/slices.Max(all))
}

// inWords lists numbers for those who do not see a picture of them.
func inWords(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}

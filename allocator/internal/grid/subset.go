// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

// subset goes through the subsets of k domains that together have enough free
// units, in a fixed order and without allocating.
type subset struct {
	of          []int // domains to choose from
	free        []int // free units by domain
	at          []int // positions in of, ascending
	picked      []int // the domains at those positions
	k           int
	fresh       bool
	onlyLargest bool // only the k with most free units, not every subset
}

func newSubset(domains int) subset {
	return subset{at: make([]int, 0, domains), picked: make([]int, 0, domains)}
}

// searchBudget bounds how many subsets are tried one by one, for as many leaves
// as there are: trying a subset costs about as much as it has leaves, and on a
// machine with few leaves every subset matters. With 16 leaves there may be 78, more
// than there are of 4 out of 8 domains.
const searchBudget = 20000

// start prepares for the subsets of k of the domains, which have so many leaves.
// Where the subsets are too many there is only one: the domains with most free
// units.
func (c *subset) start(of, free []int, k, leaves int) {
	c.of, c.free, c.k, c.fresh = of, free, k, true
	c.onlyLargest = k > 1 && k < len(of) && !fewCombinations(len(of), k, searchBudget/(leaves*leaves))
}

// fewCombinations reports whether n over k is at most limit.
func fewCombinations(n, k, limit int) bool {
	combinations := 1
	for i := 1; i <= min(k, n-k); i++ {
		if combinations = combinations * (n - i + 1) / i; combinations > limit {
			return false
		}
	}
	return true
}

// next picks the next subset with at least n free units; false after the last.
func (c *subset) next(n int) bool {
	if c.onlyLargest {
		return c.nextLargest()
	}
	for c.step() {
		sum := 0
		for i, at := range c.at {
			c.picked[i] = c.of[at]
			sum += c.free[c.of[at]]
		}
		if sum >= n {
			return true
		}
	}
	return false
}

// step moves on to the next subset in lexical order.
func (c *subset) step() bool {
	if c.fresh {
		c.fresh = false
		c.at, c.picked = c.at[:c.k], c.picked[:c.k]
		for i := range c.at {
			c.at[i] = i
		}
		return c.k <= len(c.of)
	}
	i := c.k - 1
	for i >= 0 && c.at[i] == len(c.of)-c.k+i {
		i--
	}
	if i < 0 {
		return false
	}
	c.at[i]++
	for i++; i < c.k; i++ {
		c.at[i] = c.at[i-1] + 1
	}
	return true
}

// nextLargest picks the k domains with most free units, the first time.
func (c *subset) nextLargest() bool {
	if !c.fresh {
		return false
	}
	c.fresh = false
	c.picked = largest(c.of, c.free, c.k, c.picked[:0])
	return true
}

// largest appends the k domains with most free units, in their own order.
func largest(of, free []int, k int, picked []int) []int {
	// The k-th largest number of free units, found from above.
	limit := 0
	for _, d := range of {
		limit = max(limit, free[d])
	}
	for {
		above, equal, next := 0, 0, -1
		for _, d := range of {
			switch f := free[d]; {
			case f > limit:
				above++
			case f == limit:
				equal++
			case f > next:
				next = f
			}
		}
		if above+equal >= k || next < 0 {
			ties := k - above
			for _, d := range of {
				if free[d] > limit {
					picked = append(picked, d)
				} else if free[d] == limit && ties > 0 {
					picked = append(picked, d)
					ties--
				}
			}
			return picked
		}
		limit = next
	}
}

// fewest returns how many of the domains, the fullest first, have n free units
// together. They have enough.
func fewest(of, free []int, n int) int {
	most := 0
	for _, d := range of {
		most = max(most, free[d])
	}
	if most >= n {
		return 1
	}
	count := 0
	for limit := most; n > 0 && limit > 0; {
		next := 0
		for _, d := range of {
			if f := free[d]; f == limit && n > 0 {
				n -= f
				count++
			} else if f < limit {
				next = max(next, f)
			}
		}
		limit = next
	}
	return count
}

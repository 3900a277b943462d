//go:build ignore

// Prints when schedules fire next, as dapr/kit computes it: the reference for
// tests/virtual_time/next_times.tsv. Put it into a module that requires github.com/dapr/kit at the
// version of the pinned Dapr, and pipe lines of "moment<tab>schedule" into it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dapr/kit/cron"
)

const times = 4

func main() {
	parser := cron.NewParser(
		cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor,
	)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		given, text, _ := strings.Cut(lines.Text(), "\t")
		moment, err := time.Parse(time.RFC3339Nano, given)
		if err != nil {
			panic(err)
		}
		schedule, err := parser.Parse(text)
		if err != nil {
			panic(err)
		}
		moment = moment.UTC()
		fmt.Print(lines.Text())
		for range times {
			moment = schedule.Next(moment).UTC()
			fmt.Print("\t", moment.Format(time.RFC3339Nano))
		}
		fmt.Println()
	}
}

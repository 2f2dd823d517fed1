// Compares what a run of the specs brought with what is known of them.
//
//	report skip KNOWN                the pattern of the specs that are not to be run
//	report check KNOWN REPORT.json   says how the run went; fails when a spec failed that is not known to
//
// KNOWN holds entries such as this one. The name is a part of a spec's full text, the indented lines say why:
//
//	fail [sig-node] Pods should be greeted
//	    The machine has no voice.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// The lines of a failure that are shown; all of it is in the run's log.
const messageLines = 4

type entry struct {
	verb, name, reason string
	matched            bool
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "skip":
		known, err := readKnown(args[1])
		if err != nil {
			return err
		}
		fmt.Println(skipPattern(known))
		return nil
	case len(args) == 3 && args[0] == "check":
		known, err := readKnown(args[1])
		if err != nil {
			return err
		}
		reports, err := readReports(args[2])
		if err != nil {
			return err
		}
		return check(known, reports)
	}
	return errors.New("usage: report skip KNOWN | report check KNOWN REPORT.json")
}

func readKnown(path string) ([]*entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var known []*entry
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		verb, name, _ := strings.Cut(line, " ")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") && len(known) > 0:
			last := known[len(known)-1]
			last.reason = strings.TrimSpace(last.reason + " " + strings.TrimSpace(line))
		case (verb == "skip" || verb == "fail") && name != "":
			known = append(known, &entry{verb: verb, name: name})
		default:
			return nil, fmt.Errorf("%s:%d: want `skip NAME`, `fail NAME` or an indented reason", path, number)
		}
	}
	for _, entry := range known {
		if entry.reason == "" {
			return nil, fmt.Errorf("%s: no reason for %q: add an indented line", path, entry.name)
		}
	}
	return known, lines.Err()
}

// No spec has the pattern of an empty list.
func skipPattern(known []*entry) string {
	names := []string{"^$"}
	for _, entry := range known {
		if entry.verb == "skip" {
			names = append(names, regexp.QuoteMeta(entry.name))
		}
	}
	return strings.Join(names, "|")
}

func readReports(path string) ([]types.Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var reports []types.Report
	return reports, json.Unmarshal(data, &reports)
}

type tally struct{ passed, failed, expected, left, listed int }

func check(known []*entry, reports []types.Report) error {
	var count tally
	var problems []string
	for _, report := range reports {
		problems = append(problems, report.SpecialSuiteFailureReasons...)
		for _, spec := range report.SpecReports {
			count.add(spec, find(known, spec.FullText()))
		}
	}
	for _, entry := range known {
		if !entry.matched {
			problems = append(problems, fmt.Sprintf("the list names %q, which is part of no spec's text", entry.name))
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d failed as expected, %d skipped themselves, %d are listed as not to be run\n",
		count.passed, count.failed, count.expected, count.left, count.listed)
	switch {
	case count.failed > 0:
		problems = append(problems, fmt.Sprintf("%d failed that are not known to", count.failed))
	case count.passed+count.expected == 0:
		problems = append(problems, "no spec ran: none has that name, or all of it is on the list")
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// Counts a spec, and says what is to be seen of it. What ginkgo left out by its patterns is none of these.
func (count *tally) add(spec types.SpecReport, known *entry) {
	failed := spec.State.Is(types.SpecStateFailureStates)
	isSpec := spec.LeafNodeType == types.NodeTypeIt
	name, message := spec.FullText(), indent(spec.Failure.Message)
	switch {
	case failed && isSpec && known != nil && known.verb == "fail":
		count.expected++
		fmt.Printf("failed, as expected: %s\n    %s\n", name, known.reason)
	case failed:
		count.failed++
		fmt.Printf("FAILED after %.0f s: %s\n%s\n", spec.RunTime.Seconds(), name, message)
	case !isSpec:
	case spec.State == types.SpecStatePassed && known != nil && known.verb == "fail":
		count.passed++
		fmt.Printf("PASSED, though it is listed as failing: %s\n", name)
	case spec.State == types.SpecStatePassed:
		count.passed++
	case known != nil && known.verb == "skip":
		count.listed++
	case spec.Failure.Message != "":
		count.left++
		fmt.Printf("skipped itself: %s\n%s\n", name, message)
	}
}

// The first entry whose name is in the text of a spec.
func find(known []*entry, text string) *entry {
	var found *entry
	for _, entry := range known {
		if strings.Contains(text, entry.name) {
			entry.matched = true
			if found == nil {
				found = entry
			}
		}
	}
	return found
}

func indent(message string) string {
	lines := strings.Split(strings.TrimSpace(message), "\n")
	if len(lines) > messageLines {
		lines = append(lines[:messageLines], "...")
	}
	return "    " + strings.Join(lines, "\n    ")
}

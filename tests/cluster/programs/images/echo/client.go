package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// asker asks one question and returns what is answered.
type asker func(ctx context.Context) (string, error)

func newAsker(target string) (asker, error) {
	where, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	switch where.Scheme {
	case "http":
		return func(ctx context.Context) (string, error) { return askHTTP(ctx, target) }, nil
	case "udp":
		return func(ctx context.Context) (string, error) { return askLine(ctx, "udp", where.Host) }, nil
	case "tcp":
		return held(where.Host), nil
	default:
		return nil, fmt.Errorf("%s: neither http, tcp nor udp", target)
	}
}

// askHTTP makes a connection of its own for each question, so that each is balanced anew.
func askHTTP(ctx context.Context, target string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

func askLine(ctx context.Context, network, host string) (string, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	return exchange(ctx, connection, bufio.NewReader(connection))
}

func exchange(ctx context.Context, connection net.Conn, answers *bufio.Reader) (string, error) {
	deadline, _ := ctx.Deadline()
	connection.SetDeadline(deadline)
	if _, err := fmt.Fprintln(connection, "?"); err != nil {
		return "", err
	}
	return answers.ReadString('\n')
}

// held asks all questions over one connection, and never makes a second one.
func held(host string) asker {
	var (
		lock       sync.Mutex
		connection net.Conn
		answers    *bufio.Reader
	)
	return func(ctx context.Context) (string, error) {
		lock.Lock()
		defer lock.Unlock()
		if connection == nil {
			dialed, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
			if err != nil {
				return "", err
			}
			connection, answers = dialed, bufio.NewReader(dialed)
		}
		return exchange(ctx, connection, answers)
	}
}

func ask(args []string) error {
	flags := flag.NewFlagSet("ask", flag.ExitOnError)
	limit := flags.Duration("limit", 3*time.Second, "how long to wait for the answer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	question, err := newAsker(flags.Arg(0))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	answer, err := question(ctx)
	fmt.Print(answer)
	return err
}

// count is what a stream of questions came to.
type count struct {
	Sent     int            `json:"sent"`
	Answered int            `json:"answered"`
	Lost     int            `json:"lost"`
	By       map[string]int `json:"by"`
	Errors   map[string]int `json:"errors"`
	// The longest time between two answers, or between the start or the end and an answer.
	LongestGapMs int64 `json:"longestGapMs"`
}

// stream asks at a steady pace whether or not earlier questions are answered, and counts.
func stream(args []string) error {
	flags := flag.NewFlagSet("stream", flag.ExitOnError)
	interval := flags.Duration("interval", 10*time.Millisecond, "between two questions")
	duration := flags.Duration("for", 10*time.Second, "how long to ask")
	limit := flags.Duration("limit", time.Second, "an answer that comes later is lost")
	if err := flags.Parse(args); err != nil {
		return err
	}
	question, err := newAsker(flags.Arg(0))
	if err != nil {
		return err
	}
	until, cancel := context.WithTimeout(context.Background(), *duration)
	defer cancel()
	until, stop := signal.NotifyContext(until, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	tally := newTally()
	paced(until, *interval, func() {
		ctx, cancel := context.WithTimeout(context.Background(), *limit)
		defer cancel()
		tally.add(question(ctx))
	})
	return json.NewEncoder(os.Stdout).Encode(tally.finish())
}

// paced starts do once per interval until the context ends, and waits for all that it has started.
func paced(until context.Context, interval time.Duration, do func()) {
	var running sync.WaitGroup
	defer running.Wait()
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		running.Go(do)
		select {
		case <-until.Done():
			return
		case <-ticks.C:
		}
	}
}

type tally struct {
	lock  sync.Mutex
	last  time.Time
	count count
}

func newTally() *tally {
	return &tally{last: time.Now(), count: count{By: map[string]int{}, Errors: map[string]int{}}}
}

func (t *tally) add(answer string, err error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.count.Sent++
	if err != nil {
		t.count.Lost++
		t.count.Errors[cause(err)]++
		return
	}
	t.count.Answered++
	t.count.By[who(answer)]++
	t.gap()
}

func (t *tally) gap() {
	now := time.Now()
	t.count.LongestGapMs = max(t.count.LongestGapMs, now.Sub(t.last).Milliseconds())
	t.last = now
}

func (t *tally) finish() count {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.gap()
	return t.count
}

// cause is an error without the addresses and ports in front of it, so that equal ones count as one.
func cause(err error) string {
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1:]
}

// who is the hostname in an answer of any kind.
func who(text string) string {
	var said answer
	if json.Unmarshal([]byte(text), &said) == nil {
		return said.Hostname
	}
	name, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return name
}

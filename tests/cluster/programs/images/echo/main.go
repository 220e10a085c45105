// echo is what test pods run: a server that says who it is and who asks, over HTTP, TCP and UDP, and the client that
// counts the answers.
//
//	echo serve [--port 8080]                                HTTP on port, TCP and UDP lines on port + 1
//	echo ask URL                                            one question; fails when there is no answer
//	echo stream [--interval 10ms] [--for 10s] URL           questions until the time is over, or SIGTERM; counts
//	echo touch FILE | echo remove FILE | echo read FILE     what a shell would do
//
// A URL is http://HOST:PORT/PATH, tcp://HOST:PORT (one connection for all questions) or udp://HOST:PORT.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: echo serve | ask URL | stream URL | touch FILE | remove FILE | read FILE")
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "serve":
		return serve(rest)
	case "ask":
		return ask(rest)
	case "stream":
		return stream(rest)
	case "touch":
		return each(rest, func(file string) error { return os.WriteFile(file, nil, 0o644) })
	case "read":
		return each(rest, print)
	case "remove":
		return each(rest, os.Remove)
	default:
		return fmt.Errorf("there is no %q", verb)
	}
}

func each(files []string, do func(string) error) error {
	for _, file := range files {
		if err := do(file); err != nil {
			return err
		}
	}
	return nil
}

func print(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

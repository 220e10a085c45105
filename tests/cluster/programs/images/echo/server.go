package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
)

// unready is the file that makes a pod unready while it exists; /healthz/fail and /healthz/ok do the same by HTTP.
const unready = "/unready"

// answer is what the server says of itself and of whoever asks.
type answer struct {
	Hostname string            `json:"hostname"`
	Client   string            `json:"client"`
	Local    string            `json:"local"`
	Env      map[string]string `json:"env"`
}

func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	port := flags.Int("port", 8080, "the port for HTTP; the next one is for lines by TCP and UDP")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lines, err := net.Listen("tcp", fmt.Sprintf(":%d", *port+1))
	if err != nil {
		return err
	}
	for _, network := range []string{"udp4", "udp6"} {
		// One socket for each family and each address: an answer must come from the address that was asked.
		if err := serveUDP(network, *port+1); err != nil {
			return err
		}
	}
	go serveTCP(lines)
	go func() { log.Fatal(http.ListenAndServe(fmt.Sprintf(":%d", *port), handler())) }()
	log.Printf("%s serves on port %d", hostname(), *port)
	return untilTold()
}

func untilTold() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	log.Printf("%s ends: %v", hostname(), <-signals)
	return nil
}

func hostname() string {
	name, _ := os.Hostname()
	return name
}

func handler() http.Handler {
	var failing atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer{hostname(), r.RemoteAddr, local.String(), environment()})
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(unready); err == nil || failing.Load() {
			http.Error(w, "told to be unready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/healthz/fail", func(w http.ResponseWriter, _ *http.Request) { failing.Store(true) })
	mux.HandleFunc("/healthz/ok", func(w http.ResponseWriter, _ *http.Request) { failing.Store(false) })
	mux.HandleFunc("/hostname", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, hostname()) })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	return mux
}

func environment() map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// serveTCP answers each line with "HOSTNAME CLIENT", for as long as the client keeps the connection.
func serveTCP(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			for lines := bufio.NewScanner(connection); lines.Scan(); {
				fmt.Fprintf(connection, "%s %s\n", hostname(), connection.RemoteAddr())
			}
		}()
	}
}

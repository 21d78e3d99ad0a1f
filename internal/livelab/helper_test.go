//go:build linux

package livelab

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func itoa(n int) string { return strconv.Itoa(n) }

// helper is a program with a health endpoint, that tells which devices it sees
// by netlink and in /sys and which signals it gets, and ends with status 3.
func helper() int {
	if os.Getenv(helperVariable) == "fail" {
		fmt.Fprintln(os.Stderr, "no config")
		return 1
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	var names, inSys []string
	interfaces, err := net.Interfaces()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for _, e := range entries {
		inSys = append(inSys, e.Name())
	}
	fmt.Println(strings.Join(names, ","), strings.Join(inSys, ","))
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	go func() { fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:9090", nil)) }()
	for {
		s := <-signals
		fmt.Fprintln(os.Stderr, s)
		if s == syscall.SIGTERM {
			return 3
		}
	}
}

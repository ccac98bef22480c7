# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: go
# A static Go program: goroutines, its own threads and signals, files, processes.  (The build is not in the view's run only:
# it is part of what is compared.)
export GOCACHE="$PWD/cache" GOPATH="$PWD/gopath" GO111MODULE=off GOFLAGS= CGO_ENABLED=0
cat >g.go <<'GO'
package main

import (
	"fmt"
	"io/ioutil"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println("child", os.Args[1:])
		os.Exit(5)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := 0; i < 200; i++{
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			fi, err := os.Stat("/etc/passwd")
			if err == nil && fi.Size() > 0 {
				mu.Lock()
				total += n
				mu.Unlock()
			}
		}(i)
	}
	wg.Wait()
	fmt.Println(total)
	ioutil.WriteFile("f", []byte("go wrote this"), 0644)
	b, _ := ioutil.ReadFile("f")
	fmt.Println(string(b))
	_, err := os.Open("/none")
	fmt.Println(err)
	var names []string
	filepath.Walk("/usr/include/linux", func(p string, fi os.FileInfo, err error) error {
		names = append(names, p)
		return err
	})
	sort.Strings(names)
	fmt.Println(len(names) > 100, strings.HasSuffix(names[len(names)-1], ".h"))
	exe, _ := os.Executable()
	out, err := exec.Command(exe, "a", "b c").CombinedOutput()
	fmt.Print(string(out), err, "\n")
	for i := 0; i < 30; i++ {
		if exec.Command("/bin/true").Run() != nil {
			fmt.Println("bad")
		}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-c)
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	go func() { s, _ := l.Accept(); s.Write([]byte("net")); s.Close() }()
	s, _ := net.Dial("tcp", l.Addr().String())
	b, _ = ioutil.ReadAll(s)
	fmt.Println(string(b))
	select {
	case <-time.After(20 * time.Millisecond):
		fmt.Println("timer")
	}
	defer func() {
		fmt.Println("recovered:", recover())
		var p *int
		defer func() { fmt.Println("again:", recover() != nil); os.Exit(3) }()
		fmt.Println(*p)
	}()
	panic("on purpose")
}
GO
go build -o g g.go && ./g; echo "status $?"; rm -rf cache; file -b g 2>/dev/null | grep -o 'statically linked'

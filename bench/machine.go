package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// machine says what the figures were measured on.
type machine struct {
	CPU      string
	Cores    int
	Memory   string
	Kernel   string
	Disk     string // file system and device of the folder under test
	Go       string
	Versions []string // of the engines
}

func describe(dir string) machine {
	m := machine{
		CPU:    field("/proc/cpuinfo", "model name"),
		Cores:  runtime.NumCPU(),
		Memory: field("/proc/meminfo", "MemTotal"),
		Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Disk:   diskOf(dir),
		Go:     runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			name := filepath.Base(dep.Path)
			if slices.Contains([]string{"dbos-transact-golang", "go-workflows", "sqlite"}, name) {
				m.Versions = append(m.Versions, name+" "+dep.Version)
			}
		}
	}
	return m
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s; Linux %s; %s; %s; %s",
		m.CPU, m.Cores, m.Memory, m.Kernel, m.Disk, m.Go, strings.Join(m.Versions, ", "))
}

// load returns the load average of the last minute, 0 where there is none.
func load() float64 {
	first, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

func firstLine(path string) string {
	b, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// diskOf names the file system and the device that hold the folder.
func diskOf(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "unknown disk"
	}
	b, _ := os.ReadFile("/proc/self/mounts")
	best, text := -1, "unknown disk"
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		at := f[1]
		if (at == "/" || dir == at || strings.HasPrefix(dir, at+"/")) && len(at) >= best {
			best, text = len(at), f[2]+" on "+f[0]
		}
	}
	return text
}

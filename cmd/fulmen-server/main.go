// Command fulmen-server is the Fulmen server: fulmen-server [config-file] [--name value …].
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"fulmen/internal/config"
	"fulmen/internal/server"
	"fulmen/persist/vfs"
)

func main() { os.Exit(run(os.Args)) }

// daemonEnv marks the process that daemonize started.
const daemonEnv = "FULMEN_DAEMONIZED"

func run(args []string) int {
	cwd, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var notices []string
	cfg, err := config.Load(args[1:], config.Env{
		Version: server.Version, Cwd: cwd, CPUs: runtime.GOMAXPROCS(0), Files: vfs.OS{},
		Stdin:  func() ([]byte, error) { return io.ReadAll(os.Stdin) },
		Notice: func(text string) { notices = append(notices, text) },
	})
	switch {
	case errors.Is(err, config.ErrHelp):
		fmt.Fprint(os.Stdout, config.Usage(filepath.Base(args[0])))
		return 0
	case errors.Is(err, config.ErrVersion):
		fmt.Fprintf(os.Stdout, "Fulmen server v=%s redis_version=%s go=%s bits=64\n",
			server.Version, server.RedisVersion, runtime.Version())
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	v := cfg.Values()
	if v.Daemonize && os.Getenv(daemonEnv) == "" {
		return daemonize(args)
	}
	log, level, err := openLog(v)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Can't open the log file:", err)
		return 1
	}
	for _, text := range notices {
		log.Info(text)
	}
	if err := serve(cfg, log, level); err != nil {
		log.Warn(err.Error())
		return 1
	}
	return 0
}

func serve(cfg *config.Config, log *slog.Logger, level *slog.LevelVar) error {
	if err := syscall.Chdir(cfg.Values().Dir); err != nil {
		return fmt.Errorf("can't chdir to '%s': %w", cfg.Values().Dir, err)
	}
	srv, err := server.New(server.Options{Config: cfg, Files: vfs.OS{}, Log: log, Level: level})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	return srv.Run(signals)
}

// openLog opens the log file, or standard output.
func openLog(v *config.Values) (*slog.Logger, *slog.LevelVar, error) {
	level := &slog.LevelVar{}
	var w io.Writer = os.Stdout
	if v.LogFile != "" {
		f, err := vfs.OS{}.OpenAppend(v.LogFile, 0o644)
		if err != nil {
			return nil, nil, err
		}
		w = f
	} else if v.Daemonize {
		w = io.Discard
	}
	return server.NewLogger(w, level), level, nil
}

// daemonize starts the same command in a session of its own. A Go process can't fork: the child reads the
// configuration anew.
func daemonize(args []string) int {
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemonize:", err)
		return 1
	}
	child := exec.Command(exe, args[1:]...)
	child.Env = append(os.Environ(), daemonEnv+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "daemonize:", err)
		return 1
	}
	return 0
}

package main

import (
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/roostpush/roost/cmd/roost/internal/config"
)

// newLogger returns a logger to w in the format and from the level that cfg
// says; cfg has been validated.
func newLogger(cfg config.LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		panic("log level was not validated: " + err.Error())
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// isTerminal reports whether w is a character device. /dev/null is one too, and
// nobody reads the format there.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

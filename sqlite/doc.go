// Package sqlite keeps a [daruma.Journal] in one SQLite file.
package sqlite

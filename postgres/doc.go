// Package postgres is a journal.
package postgres

//go:build !linux && !darwin

package sqlite

// remoteFileSystem does not know on this system; every folder counts as local.
func remoteFileSystem(string) (kind string, remote bool) { return "", false }

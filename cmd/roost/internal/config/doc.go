// Package config is what an operator sets: one struct made of the packages' own
// Configs, read once at the start from a YAML file, then the environment, then
// flags, each stronger than the one before.
//
// Everything is derived by reflection from the yaml and doc tags of that struct:
// the keys of the file (netpoll.ping_interval), the names in the environment
// (ROOST_NETPOLL_PING_INTERVAL), the argument of --set and the commented file
// that `roost default-config` prints. A key that the struct does not know is an
// error everywhere, and the error names the nearest key that exists.
//
// Package config never opens a socket, never changes a setting by itself and
// never shows a secret. The commands of cmd/roost call it, nothing else does.
//
// Start reading at Config, then Load.
package config

package server

import "fulmen/internal/config"

type consoleServer struct{}

func (c *consoleServer) apply(srv *Server, v *config.Values) error { return nil }
func (c *consoleServer) close()                                    {}

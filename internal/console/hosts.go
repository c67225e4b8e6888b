package console

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// hostAllowed tells whether a request names the console by an address or name that is its own. A page in a browser
// could be made to ask a loopback address under a name of an attacker's (DNS rebinding): it has that name as its host.
// What is no browser may leave the host out.
func (c *Console) hostAllowed(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
	if host == "" || host == "localhost" {
		return true
	}
	address, _, _ := strings.Cut(host, "%") // without a zone
	if ip := net.ParseIP(address); ip != nil {
		return ip.IsLoopback() || c.anyAddress || slices.ContainsFunc(c.hosts, func(own string) bool {
			return ip.Equal(net.ParseIP(own))
		}) || isLocal(r, ip)
	}
	return slices.Contains(c.hosts, host)
}

// isLocal tells whether ip is the server's end of the request's connection.
func isLocal(r *http.Request, ip net.IP) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.Equal(ip)
}

// takeHosts notes the addresses that the console is configured to listen on, in the notation of `bind`. One that stands
// for all addresses lets any address be the host, since only names can be made to mean another machine.
func (c *Console) takeHosts(bind []string) {
	for _, addr := range bind {
		addr = strings.ToLower(strings.TrimPrefix(addr, "-"))
		ip := net.ParseIP(addr)
		if addr == "*" || addr == "::*" || ip != nil && ip.IsUnspecified() {
			c.anyAddress = true
		}
		c.hosts = append(c.hosts, addr)
	}
}

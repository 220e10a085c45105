package main

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"
)

// serveUDP answers each datagram with "HOSTNAME CLIENT", from the address that it was sent to: a pod may have several.
func serveUDP(network string, port int) error {
	connection, err := net.ListenUDP(network, &net.UDPAddr{Port: port})
	if err != nil {
		return err
	}
	if err := tellDestination(connection, network); err != nil {
		return err
	}
	go answerDatagrams(connection)
	return nil
}

func tellDestination(connection *net.UDPConn, network string) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		if network == "udp6" {
			refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1)
		} else {
			refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
		}
	})
	if err != nil {
		return err
	}
	return refused
}

func answerDatagrams(connection *net.UDPConn) {
	question, control := make([]byte, 2048), make([]byte, 256)
	for {
		_, length, _, client, err := connection.ReadMsgUDP(question, control)
		if err != nil {
			return
		}
		reply := fmt.Appendf(nil, "%s %s\n", hostname(), client)
		// The kernel takes the same message as the source of the answer, but for the interface it came in by.
		connection.WriteMsgUDP(reply, anyInterface(control[:length]), client)
	}
}

func anyInterface(control []byte) []byte {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, message := range messages {
		switch {
		case message.Header.Level == syscall.IPPROTO_IPV6 && len(message.Data) >= syscall.SizeofInet6Pktinfo:
			info := (*syscall.Inet6Pktinfo)(unsafe.Pointer(&message.Data[0]))
			info.Ifindex = 0
		case message.Header.Level == syscall.IPPROTO_IP && len(message.Data) >= syscall.SizeofInet4Pktinfo:
			info := (*syscall.Inet4Pktinfo)(unsafe.Pointer(&message.Data[0]))
			info.Ifindex, info.Spec_dst = 0, info.Addr
		}
	}
	return control
}

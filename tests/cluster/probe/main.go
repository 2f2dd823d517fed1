// Command probe is the native program of the cluster tests: one static binary whose first argument says what it does.
//
//	probe print TEXT [CODE]    prints TEXT on both outputs and exits with CODE (0)
//	probe serve ADDRESS TEXT   answers every HTTP request with TEXT
//	probe get URL              prints the answer's body, tries for 30 s, fails on a status that is not 2xx
//	probe api PATH             the same from the API server, as the pod's service account
//	probe sleep                waits for SIGTERM
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// patience is how long get and api try: a Service needs a moment until kube-proxy knows its endpoints.
const patience = 30 * time.Second

// serviceAccount is where the kubelet mounts the pod's token and the cluster's CA.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: print, serve, get, api or sleep")
	}
	command, args := args[0], args[1:]
	switch {
	case command == "print" && len(args) >= 1:
		return printAndExit(args)
	case command == "serve" && len(args) == 2:
		return serve(args[0], args[1])
	case command == "get" && len(args) == 1:
		return get(&http.Client{Timeout: 5 * time.Second}, args[0], "")
	case command == "api" && len(args) == 1:
		return getAPI(args[0])
	case command == "sleep":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		<-signals
		return nil
	}
	return fmt.Errorf("%s: unknown command or wrong number of arguments", command)
}

func printAndExit(args []string) error {
	fmt.Println(args[0])
	fmt.Fprintln(os.Stderr, args[0])
	if len(args) == 1 {
		return nil
	}
	code, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

func serve(address, text string) error {
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		<-signals
		os.Exit(0)
	}()
	return http.ListenAndServe(address, http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(writer, text)
	}))
}

func getAPI(path string) error {
	token, err := os.ReadFile(serviceAccount + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(serviceAccount + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("the service account's ca.crt holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	host := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	return get(&http.Client{Timeout: 5 * time.Second, Transport: transport}, "https://"+host+path, string(token))
}

// get tries again while the server cannot be reached; any HTTP answer is final.
func get(client *http.Client, url, token string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	var response *http.Response
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		response, err = client.Do(request)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return err
		}
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

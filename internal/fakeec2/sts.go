package fakeec2

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// STS is a part of the service that gives roles away: AssumeRole and
// GetCallerIdentity, in the Query protocol. It goes into Server.Services as "sts".
type STS struct {
	Roles map[string]Role // that can be assumed, by ARN
	// Identities are the ARNs of callers by access key; one that is not there is the
	// user "tester" of Account.
	Identities map[string]string

	mu      sync.Mutex
	assumed []url.Values
}

// Role is what assuming it asks for and gives.
type Role struct {
	ExternalID string // that must be told; "": none
	AccessKey  string // of the credentials that it gives; Server.Accounts has its account
}

// Assumed gives the parameters of each AssumeRole that came.
func (s *STS) Assumed() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.assumed...)
}

// ServeHTTP answers a request.
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	params, parse := url.ParseQuery(string(body))
	if err != nil || parse != nil || params.Get("Version") != "2011-06-15" {
		refuseSTS(w, http.StatusBadRequest, "InvalidQueryParameter", "not a query of version 2011-06-15")
		return
	}
	key := ""
	if m := credential.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		key = m[1]
	}
	who := s.Identities[key]
	if who == "" {
		who = "arn:aws:iam::" + Account + ":user/tester"
	}
	switch params.Get("Action") {
	case "GetCallerIdentity":
		answerSTS(w, "GetCallerIdentity", "<Arn>"+escape(who)+"</Arn><UserId>AIDAEXAMPLE</UserId><Account>"+strings.Split(who, ":")[4]+"</Account>")
	case "AssumeRole":
		s.mu.Lock()
		s.assumed = append(s.assumed, params)
		s.mu.Unlock()
		arn := params.Get("RoleArn")
		role, ok := s.Roles[arn]
		if !ok || role.ExternalID != params.Get("ExternalId") {
			refuseSTS(w, http.StatusForbidden, "AccessDenied", "User: "+who+" is not authorized to perform: sts:AssumeRole on resource: "+arn)
			return
		}
		answerSTS(w, "AssumeRole", "<Credentials><AccessKeyId>"+role.AccessKey+"</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"+
			"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:"+escape(params.Get("RoleSessionName"))+
			"</AssumedRoleId><Arn>"+escape(arn)+"</Arn></AssumedRoleUser>")
	default:
		refuseSTS(w, http.StatusBadRequest, "InvalidAction", "Could not find operation "+params.Get("Action"))
	}
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

const stsNamespace = `xmlns="https://sts.amazonaws.com/doc/2011-06-15/"`

func answerSTS(w http.ResponseWriter, action, result string) {
	w.Header().Set("Content-Type", "text/xml")
	_, _ = io.WriteString(w, "<"+action+"Response "+stsNamespace+"><"+action+"Result>"+result+"</"+action+"Result><ResponseMetadata><RequestId>"+requestID+"</RequestId></ResponseMetadata></"+action+"Response>")
}

func refuseSTS(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<ErrorResponse "+stsNamespace+"><Error><Type>Sender</Type><Code>"+code+"</Code><Message>"+escape(message)+"</Message></Error><RequestId>"+requestID+"</RequestId></ErrorResponse>")
}

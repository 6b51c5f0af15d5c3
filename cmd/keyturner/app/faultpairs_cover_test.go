package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/keyturner/keyturner/rotation"
)

// slackMethods are the calls of the Slack client that the bot makes, and what each comes to on the wire.
var slackMethods = map[string]string{
	"AuthTestContext":               "slack auth.test",
	"GetConversationInfoContext":    "slack conversations.info",
	"GetConversationHistoryContext": "slack conversations.history",
	"GetConversationRepliesContext": "slack conversations.replies",
	"GetUserInfoContext":            "slack users.info",
	"GetUserByEmailContext":         "slack users.lookupByEmail",
	"GetUserGroupMembersContext":    "slack usergroups.users.list",
	"OpenViewContext":               "slack views.open",
	"UpdateViewContext":             "slack views.update",
	"PublishViewContext":            "slack views.publish",
	"PostMessageContext":            "slack chat.postMessage",
	"PostEphemeralContext":          "slack chat.postEphemeral",
	"UpdateMessageContext":          "slack chat.update",
	"DeleteMessageContext":          "slack chat.delete",
	"SendMessageContext":            "slack response_url",
	"StartSocketModeContext":        "slack apps.connections.open",
	"GetUploadURLExternalContext":   "slack files.getUploadURLExternal",
	"UploadToURL":                   "slack upload",
	"CompleteUploadExternalContext": "slack files.completeUploadExternal",
	"DialContext":                   dialCall,
	"WriteMessage":                  ackCall,
}

// iamMethods are the operations that each method of rotation.IAM makes.
var iamMethods = map[string][]string{
	"Users":     {"GetAccountAuthorizationDetails", "ListUsers", "ListUserTags"},
	"User":      {"GetUser"},
	"Keys":      {"ListAccessKeys"},
	"LastUse":   {"GetAccessKeyLastUsed"},
	"UserOf":    {"GetAccessKeyLastUsed"},
	"Report":    {"GenerateCredentialReport", "GetCredentialReport"},
	"Details":   {"GetAccountAuthorizationDetails"},
	"Names":     {"ListUsers"},
	"Maker":     {"LookupEvents", "GetCallerIdentity"},
	"CreateKey": {"CreateAccessKey"},
	"SetStatus": {"UpdateAccessKey"},
	"DeleteKey": {"DeleteAccessKey"},
}

// notCalled are the methods of the store that no running process calls.
var notCalled = []string{"Entries"} // for whoever audits

// covers holds that the table has every outside call that there is: it is read from the code, so that a new call without a row is found.
func covers(t *testing.T, rows map[string]int) {
	t.Helper()
	wanted := map[string]string{}
	for _, method := range methodsOf[rotation.Store]() {
		if !slices.Contains(notCalled, method) {
			wanted["store "+method] = "rotation.Store has it"
		} else if rows["store "+method] > 0 {
			t.Errorf("%s of the store is called after all: take it off the list", method)
		}
	}
	for _, method := range methodsOf[rotation.IAM]() {
		if iamMethods[method] == nil {
			t.Errorf("rotation.IAM has %s: add the operations that it makes", method)
		}
		for _, op := range iamMethods[method] {
			wanted["aws "+op] = "rotation.IAM has " + method
		}
	}
	for at, op := range callsOf(t, "../../../rotation/awsiam", onAWSClient) {
		wanted["aws "+op] = at
	}
	wanted["aws AssumeRole"] = "the SDK makes it for the credentials"
	for at, method := range callsOf(t, "../../../bot", onSlackClient) {
		if slackMethods[method] == "" {
			t.Errorf("%s: %s is called: say what it is on the wire", at, method)
			continue
		}
		wanted[slackMethods[method]] = at
	}
	for _, call := range slices.Sorted(maps.Keys(wanted)) {
		if rows[call] < len(endings(call)) {
			t.Errorf("%s has %d rows, although %s; play a scene that makes it", call, rows[call], wanted[call])
		}
	}
	for call := range rows {
		if wanted[call] == "" {
			t.Errorf("%s is called, and nothing here knows why", call)
		}
	}
}

func methodsOf[T any]() []string {
	var names []string
	of := reflect.TypeFor[T]()
	for m := range of.Methods() {
		names = append(names, m.Name)
	}
	return names
}

// callsOf finds the calls in a package's files, by where they are, that is tells the name of.
func callsOf(t *testing.T, dir string, is func(*ast.SelectorExpr) bool) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("find the files of %s: %v", dir, err)
	}
	found := map[string]string{}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && is(s) {
				found[set.Position(s.Pos()).String()] = s.Sel.Name
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("no outside call was found in %s", dir)
	}
	return found
}

// onSlackClient tells a method of the Slack client, or of a socket, from other selectors: by the names under which the bot has them.
func onSlackClient(s *ast.SelectorExpr) bool {
	switch name := lastName(s.X); {
	case name == "Slack" || name == "slack" && isField(s.X) || name == "api":
		return true
	case name == "dialer":
		return s.Sel.Name == "DialContext"
	case name == "ws":
		return s.Sel.Name == "WriteMessage" || s.Sel.Name == "WriteJSON" || s.Sel.Name == "NextWriter"
	}
	return false
}

// onAWSClient tells an operation of one of the SDK's clients.
func onAWSClient(s *ast.SelectorExpr) bool {
	name := lastName(s.X)
	return isField(s.X) && slices.Contains([]string{"iam", "sts", "trail", "secrets", "parameters"}, name)
}

func isField(x ast.Expr) bool {
	_, ok := x.(*ast.SelectorExpr)
	return ok
}

// lastName is the name after the last dot.
func lastName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// Package iamsim simulates AWS IAM and STS on their real wire protocol.
//
// A [Sim] is an [http.Handler] holding any number of AWS accounts. It speaks the
// Query protocol (form POST or query-string GET in, XML out), checks every
// Signature Version 4 against the secrets of its own keys, and answers with the
// envelopes, error codes and HTTP statuses that aws-sdk-go-v2, botocore and the
// AWS CLI parse, so that those clients run against it unmodified:
//
//	sim := iamsim.New(iamsim.Config{})
//	acme := sim.AddAccount("111122223333", "acme")
//	acme.AddUser(iamsim.User{Name: "ci-deploy"})
//	acme.AddKey("ci-deploy", iamsim.Key{Created: time.Now().AddDate(0, 0, -120)})
//	id, secret := acme.Principal("keybot") // what the client under test signs with
//	server := httptest.NewServer(sim)      // its URL is the client's endpoint; see PlainBodies
//
// It has three faces: the protocol ([Sim.ServeHTTP], or [Sim.Transport] without a
// socket), the JSON of a sandbox page ([Sim.Control]), and the Go methods with
// which a test arranges accounts, plays applications ([Account.Use]), injects
// faults ([Sim.Fail]) and reads what was called ([Sim.Calls]).
//
// # Design
//
// Facts are stored, answers derived. A key holds when it was made, when its
// status last changed and when it was used; whether it can sign now, what
// GetAccessKeyLastUsed says and what a report shows follow from those and the
// clock. That is what lets a sandbox skip days ahead.
//
// Two clocks. [Config.Now] dates everything that AWS stores: creation, use,
// reports. [Config.SignNow] judges what clients date with their own clock:
// request signatures and the expiry of temporary credentials, which an SDK
// caches by wall time. Skipping the first must not break the second.
//
// Every failure is a real protocol error. A [Fault] says whether the operation
// took effect as well as how the answer fails, because a caller that cannot tell
// "failed" from "done, but the answer was lost" makes two keys.
//
// One lock guards all state, and hooks of a fault run outside it: they may call
// any method, for instance to make a third party's key in the middle of a call.
//
// Lists come in an order that holds no hidden meaning: users by name without
// case, keys by id rather than by age. A client that takes the first key for the
// oldest is wrong against AWS and fails here.
//
// Only loopback Host headers are served, and the page's POSTs need the X-Sandbox
// header, so that a web page opened elsewhere cannot reach a running sandbox.
//
// # What it does not model
//
//   - Policies. Every caller with a valid signature may do everything in its own
//     account; a refusal is injected with a Fault whose Code is "AccessDenied".
//     Role trust checks the ExternalId alone, session policies and tags are ignored.
//   - Rate limits, unless injected; regional endpoints (any non-empty region is
//     accepted); partitions other than "aws".
//   - Consistency of reads: lists show a change at once. Only the usability of a
//     key for signing can lag (VisibleAfter, RefusedAfter), and last-used data.
//   - A root user that can sign, signing certificates, MFA devices, login profiles
//     and service-specific credentials, beyond what the report and the account
//     summary say of them. Groups and attached policies are names on a user.
//   - All other operations of IAM and STS: they answer InvalidAction, as AWS does
//     for an action it does not know. Services with a JSON protocol, such as
//     Organizations and CloudTrail, answer UnknownOperationException.
package iamsim

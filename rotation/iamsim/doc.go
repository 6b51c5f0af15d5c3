// Package iamsim simulates AWS IAM and its neighbours on their real wire protocols.
//
// A [Sim] is an [http.Handler] holding any number of AWS accounts. It speaks the
// Query protocol of IAM and STS (form POST or query-string GET in, XML out) and
// the JSON 1.1 protocol of Organizations (accounts, units, tags), CloudTrail
// (LookupEvents), Secrets Manager and the Parameter Store of Systems Manager. It
// checks every Signature Version 4 against the secrets of its own keys, and
// answers with the envelopes, error codes and HTTP statuses that aws-sdk-go-v2,
// botocore and the AWS CLI parse, so that those clients run against it unmodified:
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
// faults ([Sim.Fail]) and reads what was called ([Sim.Calls], [Account.Events])
// and what was stored ([Account.SecretValue], [Account.ParameterValue]).
//
// # Design
//
// Facts are stored, answers derived. A key holds when it was made, when its
// status last changed and when it was used; whether it can sign now, what
// GetAccessKeyLastUsed says and what a report shows follow from those and the
// clock. That is what lets a sandbox skip days ahead.
//
// Two clocks. [Config.Now] dates everything that AWS stores: creation, use,
// reports, events. [Config.SignNow] judges what clients date with their own
// clock: request signatures, the expiry of temporary credentials, which an SDK
// caches by wall time, and the pace of requests. Skipping the first must not
// break the second.
//
// One endpoint serves all services. The Version parameter or the operation in
// X-Amz-Target says which one is meant, and the signature must be for that one.
// The region is the one of the signature: it decides whose secrets, parameters
// and events are seen.
//
// Events are made of what was called and not of what was answered: a
// CreateAccessKey whose answer a fault drops is in the history, which is how a
// client finds out whose key it was. They are worded when someone asks, from the
// parameters in a list of harmless ones, so that no secret can be among them.
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
//     accepted); partitions other than "aws". LookupEvents and IAM have a limit, if
//     asked for (LookupsPerSecond, CallsPerSecond).
//   - Consistency of reads: lists show a change at once. Only the usability of a
//     key for signing can lag (VisibleAfter, RefusedAfter), last-used data
//     (LastUsedLag) and events (EventLag).
//   - A root user that can sign, signing certificates, MFA devices, login profiles
//     and service-specific credentials, beyond what the report and the account
//     summary say of them. Groups and attached policies are names on a user.
//   - Organizations: delegated administrators, and other operations. A
//     state set on an account ends no session and refuses no signature; it only
//     keeps its roles from being assumed.
//   - CloudTrail: data and Insights events, trails, the copy of a cross-account
//     AssumeRole in the other account, parameters and answers that are lists or
//     objects beyond CreateAccessKey's, CreateUser's and AssumeRole's, and requests
//     that were throttled, failed at the server or were never authenticated. An
//     event of [Account.Perform] has neither parameters nor an answer.
//   - Secrets Manager and the Parameter Store: KMS keys (any is accepted, none is
//     used), resource policies and other accounts' secrets, replication, rotation,
//     RestoreSecret, quotas of number and rate, pruning of old versions of a
//     secret, labels and policies of a parameter, and AllowedPattern.
//   - All other operations: of IAM and STS they answer InvalidAction, as AWS does
//     for an action it does not know, of any JSON service UnknownOperationException.
package iamsim

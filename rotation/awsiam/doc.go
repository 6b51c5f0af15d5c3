// Package awsiam is rotation.IAM over aws-sdk-go-v2: the users and access keys of one AWS account. AWS types stop here.
//
//	cfg, err := awsiam.LoadAWS(ctx)
//	account, err := awsiam.New(awsiam.Config{ID: "111122223333", Name: "acme", Role: "arn:aws:iam::111122223333:role/keyturner", AWS: cfg})
//	err = account.Check(ctx) // the credentials are good, and for that account
//
// # Design
//
// Never the caller's own key. UserName is optional in most IAM calls about keys, and without it AWS takes the owner of the signing
// key, so an empty name would rotate the bot itself. Every method refuses an empty user name or key id before it calls.
//
// Users come from GetAccountAuthorizationDetails, since ListUsers never returns tags: 5,000 users are ten pages there, against
// ten pages and 5,000 calls of ListUserTags. Whoever is not granted that call is served in the slow way.
//
// No answer is not an empty answer. The SDK decodes an empty body to an empty result, and its paginators end a list whose marker is
// missing; both would read as "no keys". A result without the list it is about, a list that goes on without saying where, a key
// without a status or a date are failed calls here.
//
// Failures are classified by what may be concluded from them. All classes but rotation.ClassUnknown promise that nothing changed, so
// a timeout, a cut connection, an unreadable answer, a cancelled context and every 5xx are unknown. To keep that promise a write is
// retried by the SDK only when AWS said that it throttled the attempt: after a lost answer the next one would tell about the second
// attempt, not about the first. CreateAccessKey has no client token and is never retried at all.
//
// A secret exists in CreateAccessKey's answer alone. The SDK's decode errors carry a piece of the body and those of the XML decoder quote
// it, so an error of this package says that the answer could not be read, and keeps neither. Logging of bodies is turned off whatever the
// configuration says.
//
// The pace is per call, and per attempt in sum. AWS publishes no rates; it counts requests per account. A call waits for its turn before
// its time limit starts, so that a queue does not turn into timeouts. Retries have the SDK's backoff and do not wait again, but
// each takes a turn from the calls that come after it. Accounts share no limiter, since AWS's limits are per account too. Where AWS
// throttles, the pace is halved, and comes back with calls that go well.
//
// The credential report is read first and made only if AWS keeps none: it makes at most one in four hours, and answers the same bytes
// until then. Its slots carry no key ids, and a key that AWS describes as neither active, dated nor used cannot be told
// from an empty slot; older reports describe inactive keys so. It shortlists; Keys and LastUse decide.
//
// Who made a key is asked of CloudTrail, after a creation whose answer was lost. A key is ours only if the record of its creation
// says so; a record that cannot be read is a failed call, and one that is not there yet is no answer. See Account.Maker for what counts
// as us, and why a session of an assumed role has a name of its own.
//
// Protocol facts are from the IAM API Reference (https://docs.aws.amazon.com/IAM/latest/APIReference/) and the IAM User Guide
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html).
package awsiam

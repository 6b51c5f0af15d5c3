package rotation

// Unseen is something that could not be looked at in an account, since the role there may not. Nothing follows from it about the keys.
type Unseen string

// What a scan may not see.
const (
	KeysUnseen    Unseen = "keys"
	LastUseUnseen Unseen = "last-use"
	RootUnseen    Unseen = "root"
	TagsUnseen    Unseen = "tags"
	TraitsUnseen  Unseen = "traits"
)

var unseen = map[Unseen]struct{ permission, what string }{
	KeysUnseen:    {"iam:ListAccessKeys", "the ids of keys, and keys newer than the credential report"},
	LastUseUnseen: {"iam:GetAccessKeyLastUsed", "when keys were last used, so none is found to be unused"},
	RootUnseen:    {"iam:GenerateCredentialReport and iam:GetCredentialReport", "a key of the root user"},
	TagsUnseen:    {"iam:GetUser", "the tags of users, so their owners are not known from there"},
	TraitsUnseen:  {"iam:GetAccountAuthorizationDetails", "the groups of users, whether AWS has quarantined one, and which users have no owner if nothing else is found of them"},
}

// Permission is what the role would need.
func (u Unseen) Permission() string { return unseen[u].permission }

// What tells what is not seen.
func (u Unseen) What() string { return unseen[u].what }

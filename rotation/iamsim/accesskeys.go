package iamsim

type accessKeyXML struct {
	UserName        string
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      string
}

func (k *accessKey) xml() accessKeyXML {
	return accessKeyXML{UserName: k.user.Name, AccessKeyID: k.id, Status: k.status(), CreateDate: stamp(k.created)}
}

type createAccessKeyResult struct {
	AccessKey accessKeyXML
}

// createAccessKey makes a key, unless the user has two; inactive ones count. Its
// answer is the only one that ever holds a secret.
func createAccessKey(rq *request) (any, error) {
	u, err := rq.subject()
	if err != nil {
		return nil, err
	}
	if len(u.keys) >= keyQuota {
		return nil, errQuota("AccessKeysPerUser", keyQuota)
	}
	k := rq.sim.giveKey(u, Key{})
	k.byBot = true
	rq.touched = k.id
	rq.sim.secrets = append(rq.sim.secrets, k.secret)
	rq.elements = map[string]any{"accessKey": map[string]any{
		"userName": u.Name, "accessKeyId": k.id, "status": k.status(), "createDate": trailTime(k.created),
	}}
	x := k.xml()
	x.SecretAccessKey = k.secret
	return createAccessKeyResult{x}, nil
}

type listAccessKeysResult struct {
	UserName          string
	AccessKeyMetadata list[accessKeyXML]
	page
}

func listAccessKeys(rq *request) (any, error) {
	u, err := rq.subject()
	if err != nil {
		return nil, err
	}
	keys, tail, err := paginate(rq, u.keys, func(k *accessKey) string { return k.id })
	if err != nil {
		return nil, err
	}
	result := listAccessKeysResult{UserName: u.Name, page: tail}
	for _, k := range keys {
		result.AccessKeyMetadata.Member = append(result.AccessKeyMetadata.Member, k.xml())
	}
	return result, nil
}

// updateAccessKey switches a key on or off; to the status it has is a success.
func updateAccessKey(rq *request) (any, error) {
	status, err := rq.required("Status")
	if err != nil {
		return nil, err
	}
	switch status {
	case statusActive, statusInactive:
	case "Expired":
		return nil, errInvalidInput("Status Expired cannot be set.")
	default:
		return nil, errConstraint("status", status, "Member must satisfy enum value set: [Active, Inactive]")
	}
	k, err := rq.subjectKey()
	if err != nil {
		return nil, err
	}
	rq.sim.setStatus(k, status == statusInactive)
	return nil, nil
}

// deleteAccessKey deletes a key, which AWS allows for an active one too.
func deleteAccessKey(rq *request) (any, error) {
	k, err := rq.subjectKey()
	if err != nil {
		return nil, err
	}
	rq.sim.dropKey(k)
	return nil, nil
}

type lastUsedXML struct {
	LastUsedDate string `xml:",omitempty"`
	Region       string
	ServiceName  string
}

type getAccessKeyLastUsedResult struct {
	UserName          string
	AccessKeyLastUsed lastUsedXML
}

func getAccessKeyLastUsed(rq *request) (any, error) {
	id, err := rq.keyID()
	if err != nil {
		return nil, err
	}
	k := rq.account.key(id)
	if k == nil {
		return nil, errNoKey(id)
	}
	last := k.lastUse(rq.now)
	return getAccessKeyLastUsedResult{
		UserName:          k.user.Name,
		AccessKeyLastUsed: lastUsedXML{LastUsedDate: stamp(last.at), Region: last.region, ServiceName: last.service},
	}, nil
}

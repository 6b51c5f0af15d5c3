package awsiam_test

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// assuming opens the account through a role in it.
func (w world) assuming(role string) *awsiam.Account {
	return w.open(awsiam.Config{ID: accountID, Name: "acme", Role: role, AWS: w.credentials(w.acme.Principal("home"))})
}

// session opens the account as somebody who has assumed the role under a name of their own.
func (w world) session(role, name string) *awsiam.Account {
	w.Helper()
	cfg := w.credentials(w.acme.Principal("home"))
	cfg.Region = "eu-central-1"
	out, err := sts.NewFromConfig(cfg).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &name})
	if err != nil {
		w.Fatal(err)
	}
	c := out.Credentials
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	return w.open(awsiam.Config{AWS: cfg})
}

// as opens the account as one of its users.
func (w world) as(user string) *awsiam.Account {
	w.acme.AddUser(iamsim.User{Name: user})
	id := w.acme.AddKey(user, iamsim.Key{})
	return w.open(awsiam.Config{AWS: w.credentials(id, w.acme.SecretOf(id))})
}

// make has a key made for ci-deploy by whoever opened the account.
func (w world) make(by *awsiam.Account) rotation.KeyID {
	w.Helper()
	key, _, err := by.CreateKey(w.Context(), "ci-deploy")
	if err != nil {
		w.Fatal(err)
	}
	return key.ID
}

// wantMaker asks who made a key since a time.
func (w world) wantMaker(asked *awsiam.Account, id rotation.KeyID, since time.Time, want rotation.Maker) {
	w.Helper()
	got, err := asked.Maker(w.Context(), id, since)
	if err != nil || got != want {
		w.Errorf("got maker %q, %v, want %q", got, err, want)
	}
}

// ownName is the name of a session as another process of ours would give it.
func ownName() string { return "keyturner-" + rand.Text() }

func TestMaker(t *testing.T) {
	for _, test := range []struct {
		name string
		made func(world) (id rotation.KeyID, asked *awsiam.Account)
		want rotation.Maker
	}{
		{"we, in the session that asks", func(w world) (rotation.KeyID, *awsiam.Account) {
			us := w.assuming(w.acme.AddRole("keyturner", ""))
			return w.make(us), us
		}, rotation.MakerUs},
		{"we, but the answer was lost", func(w world) (rotation.KeyID, *awsiam.Account) {
			us := w.assuming(w.acme.AddRole("keyturner", ""))
			w.sim.Fail("CreateAccessKey", iamsim.Fault{Drop: true, Apply: true})
			_, _, err := us.CreateKey(w.Context(), "ci-deploy")
			callError(w.T, err, rotation.ClassUnknown)
			return rotation.KeyID(w.acme.Keys("ci-deploy")[0].ID), us
		}, rotation.MakerUs},
		{"our process before a restart", func(w world) (rotation.KeyID, *awsiam.Account) {
			role := w.acme.AddRole("keyturner", "")
			return w.make(w.session(role, ownName())), w.assuming(role)
		}, rotation.MakerUs},
		{"a session named by hand", func(w world) (rotation.KeyID, *awsiam.Account) {
			role := w.acme.AddRole("keyturner", "")
			return w.make(w.session(role, "keyturner-debug")), w.assuming(role)
		}, rotation.MakerOther},
		{"a session with our prefix alone", func(w world) (rotation.KeyID, *awsiam.Account) {
			role := w.acme.AddRole("keyturner", "")
			return w.make(w.session(role, "x"+ownName())), w.assuming(role)
		}, rotation.MakerOther},
		{"a session of another role", func(w world) (rotation.KeyID, *awsiam.Account) {
			return w.make(w.session(w.acme.AddRole("other", ""), ownName())), w.assuming(w.acme.AddRole("keyturner", ""))
		}, rotation.MakerOther},
		{"a session of an earlier role of the same name", func(w world) (rotation.KeyID, *awsiam.Account) {
			id := w.make(w.session(w.acme.AddRole("keyturner", ""), ownName()))
			return id, w.assuming(w.acme.AddRole("keyturner", ""))
		}, rotation.MakerOther},
		{"a user", func(w world) (rotation.KeyID, *awsiam.Account) {
			return w.make(w.as("alice")), w.assuming(w.acme.AddRole("keyturner", ""))
		}, rotation.MakerOther},
		{"the user that we are", func(w world) (rotation.KeyID, *awsiam.Account) {
			us := w.as("bot")
			return w.make(us), us
		}, rotation.MakerUs},
		{"another user than we are", func(w world) (rotation.KeyID, *awsiam.Account) {
			return w.make(w.as("alice")), w.as("bot")
		}, rotation.MakerOther},
		{"an earlier user of the same name", func(w world) (rotation.KeyID, *awsiam.Account) {
			id := w.make(w.as("bot"))
			w.acme.RemoveUser("bot")
			return id, w.as("bot")
		}, rotation.MakerOther},
		{"the session that the platform gave us", func(w world) (rotation.KeyID, *awsiam.Account) {
			us := w.session(w.acme.AddRole("keyturner", ""), "i-0abc")
			return w.make(us), us
		}, rotation.MakerUs},
		{"another session that the platform gave", func(w world) (rotation.KeyID, *awsiam.Account) {
			role := w.acme.AddRole("keyturner", "")
			return w.make(w.session(role, "i-0abc")), w.session(role, "i-0abd")
		}, rotation.MakerOther},
		{"we made another key", func(w world) (rotation.KeyID, *awsiam.Account) {
			us := w.assuming(w.acme.AddRole("keyturner", ""))
			w.make(us)
			return keyA, us
		}, rotation.MakerUnknown},
		{"we failed to make one", func(w world) (rotation.KeyID, *awsiam.Account) {
			us := w.assuming(w.acme.AddRole("keyturner", ""))
			w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA})
			w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyB})
			_, _, err := us.CreateKey(w.Context(), "ci-deploy")
			callError(w.T, err, rotation.ClassQuota)
			return keyB, us
		}, rotation.MakerUnknown},
		{"nobody", func(w world) (rotation.KeyID, *awsiam.Account) { return keyA, w.account }, rotation.MakerUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				start := time.Now()
				id, asked := test.made(w)
				w.wantMaker(asked, id, start, test.want)
				w.leaksNothing()
			})
		})
	}
}

func TestMaker_NotOnTheTrailYet(t *testing.T) {
	inWorld(t, iamsim.Config{EventLag: 5 * time.Minute}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		start := time.Now()
		id := w.make(w.account)
		time.Sleep(5*time.Minute - time.Second)
		w.wantMaker(w.account, id, start, rotation.MakerUnknown)
		time.Sleep(time.Second)
		w.wantMaker(w.account, id, start, rotation.MakerUs)
	})
}

// TestMaker_Since shows that AWS's clock may be up to a minute behind ours, and that what is older is not asked for.
func TestMaker_Since(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		id := w.make(w.account)
		w.wantMaker(w.account, id, time.Now().Add(time.Minute), rotation.MakerUs)
		w.wantMaker(w.account, id, time.Now().Add(time.Minute+time.Second), rotation.MakerUnknown)
	})
}

// TestMaker_AllPages has the key sought on the last page: CloudTrail answers the newest first.
func TestMaker_AllPages(t *testing.T) {
	inWorld(t, iamsim.Config{PageSize: 1}, func(w world) {
		w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
		w.acme.AddUser(iamsim.User{Name: "backup"})
		start := time.Now()
		id := w.make(w.account)
		alice := w.as("alice")
		w.make(alice)
		if _, _, err := alice.CreateKey(w.Context(), "backup"); err != nil {
			w.Fatal(err)
		}
		w.wantMaker(w.account, id, start, rotation.MakerUs)
		if got := w.calls("LookupEvents"); got != 3 {
			w.Errorf("got %d pages, want 3", got)
		}
	})
}

func TestMaker_Fails(t *testing.T) {
	for _, test := range []struct {
		name, op string
		fault    iamsim.Fault
		class    rotation.Class
		calls    int
		logged   string
	}{
		{"denied", "LookupEvents", iamsim.Fault{Code: "AccessDenied"}, rotation.ClassDenied, 1, "cloudtrail:LookupEvents is denied"},
		{"throttled", "LookupEvents", iamsim.Fault{Code: "Throttling"}, rotation.ClassThrottled, 5, ""},
		{"broken", "LookupEvents", iamsim.Fault{Code: "ServiceFailure"}, rotation.ClassUnknown, 5, ""},
		{"cut", "LookupEvents", iamsim.Fault{Truncate: true, Apply: true}, rotation.ClassUnknown, 1, ""},
		{"nobody tells who we are", "GetCallerIdentity", iamsim.Fault{Code: "Throttling"}, rotation.ClassThrottled, 5, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
				start := time.Now()
				id := w.make(w.account)
				test.fault.Times = -1
				w.sim.Fail(test.op, test.fault)
				got, err := w.account.Maker(w.Context(), id, start)
				call := callError(w.T, err, test.class)
				if got != rotation.MakerUnknown || call.Op != "find out who made access key "+string(id) {
					w.Errorf("got maker %q of %q, want none of the key", got, call.Op)
				}
				if got := w.calls(test.op); got != test.calls {
					w.Errorf("got %d calls, want %d", got, test.calls)
				}
				if !strings.Contains(w.log.String(), test.logged) {
					w.Errorf("got log %s, want %q in it", w.log, test.logged)
				}
			})
		})
	}
}

func TestMaker_CredentialsOfAnotherAccount(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		other := w.sim.AddAccount("444455556666", "other")
		other.AddUser(iamsim.User{Name: "ci-deploy"})
		start := time.Now()
		stray := w.open(awsiam.Config{AWS: w.credentials(other.Principal("stray"))})
		id := w.make(stray)
		_, err := stray.Maker(w.Context(), id, start)
		callError(w.T, err, rotation.ClassDenied)
	})
}

// TestMaker_Pace stays within CloudTrail's limit, which no other call has, and within the account's.
func TestMaker_Pace(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  awsiam.Config
		want time.Duration // for 30 lookups
	}{
		{"two a second", awsiam.Config{ReadsPerSecond: 100}, 14500 * time.Millisecond},
		{"after a burst of ten, as often as anything is read", awsiam.Config{ReadsPerSecond: 1}, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{LookupsPerSecond: 2}, func(w world) {
				account := w.open(test.cfg)
				start := time.Now()
				for range 30 {
					w.wantMaker(account, keyA, start, rotation.MakerUnknown)
				}
				if got := time.Since(start).Round(10 * time.Millisecond); got != test.want || w.calls("LookupEvents") != 30 {
					w.Errorf("%d lookups took %s, want 30 in %s", w.calls("LookupEvents"), got, test.want)
				}
			})
		})
	}
}

// TestMaker_RetriesCount shows that retries take turns from the account's other reads: the eleventh is one too many for the burst.
func TestMaker_RetriesCount(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		account := w.open(awsiam.Config{ReadsPerSecond: 0.01})
		start := time.Now()
		for range 2 {
			w.sim.Fail("LookupEvents", iamsim.Fault{Times: 4, Code: "Throttling"})
			w.wantMaker(account, keyA, start, rotation.MakerUnknown)
		}
		w.wantMaker(account, keyA, start, rotation.MakerUnknown)
		if got, want := time.Since(start).Round(time.Second), 100*time.Second; got != want {
			w.Errorf("ten attempts and one more took %s, want %s", got, want)
		}
	})
}

// TestSessionName: CloudTrail must tell our sessions from others', in every account, and STS must take the name.
func TestSessionName(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		names := map[string]bool{}
		for _, role := range []string{w.acme.AddRole("keyturner", ""), w.acme.AddRole("second", "")} {
			account := w.assuming(role)
			w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
			if _, err := account.Keys(w.Context(), "ci-deploy"); err != nil {
				w.Fatal(err)
			}
			calls := w.sim.Calls()
			arn := calls[len(calls)-1].Caller
			names[arn[strings.LastIndexByte(arn, '/')+1:]] = true
		}
		for name := range names {
			if !regexp.MustCompile(`^keyturner-[A-Z2-7]{26,54}$`).MatchString(name) {
				w.Errorf("got session name %q, want keyturner- and something random of up to 64 characters in all", name)
			}
		}
		if len(names) != 1 {
			w.Errorf("got session names %v, want one of the process", names)
		}
	})
}

// TestMaker_Region asks where IAM's events are, whatever region is configured.
func TestMaker_Region(t *testing.T) {
	for region, want := range map[string]string{
		"":               "cloudtrail.us-east-1.amazonaws.com",
		"eu-central-1":   "cloudtrail.us-east-1.amazonaws.com",
		"cn-northwest-1": "cloudtrail.cn-north-1.amazonaws.com.cn",
		"us-gov-east-1":  "cloudtrail.us-gov-west-1.amazonaws.com",
		"eusc-de-east-1": "cloudtrail.eusc-de-east-1.amazonaws.eu",
	} {
		t.Run(region, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				cfg := w.credentials(w.acme.Principal("keyturner"))
				cfg.Region = region
				asked := &hosts{next: cfg.HTTPClient}
				cfg.HTTPClient = asked
				w.wantMaker(w.open(awsiam.Config{AWS: cfg}), keyA, time.Now(), rotation.MakerUnknown)
				if len(asked.names) != 1 || asked.names[0] != want {
					w.Errorf("asked %v, want %s", asked.names, want)
				}
			})
		})
	}
	t.Run("an endpoint of its own", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL_CLOUDTRAIL", "http://127.0.0.1:1")
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		cfg, err := awsiam.LoadAWS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sim := iamsim.New(iamsim.Config{})
		id, secret := sim.AddAccount(accountID, "acme").Principal("keyturner")
		asked := &hosts{next: sdkConfig(sim.Transport(), id, secret).HTTPClient}
		cfg.HTTPClient, cfg.Credentials = asked, credentials.NewStaticCredentialsProvider(id, secret, "")
		account, err := awsiam.New(awsiam.Config{ID: accountID, AWS: cfg})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := account.Maker(t.Context(), keyA, time.Now()); err != nil || asked.names[0] != "127.0.0.1:1" {
			t.Errorf("asked %v: %v", asked.names, err)
		}
	})
}

// hosts notes whom a client asks.
type hosts struct {
	next  aws.HTTPClient
	names []string
}

func (h *hosts) Do(r *http.Request) (*http.Response, error) {
	h.names = append(h.names, r.URL.Host)
	return h.next.Do(r)
}

package app_test

import (
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// plot is a story with every person doing what is asked. A scene that several plots have is told apart from others by its name, and gets
// its rows in the first.
type plot struct {
	name  string
	shape shape
	play  func(*play)
}

// The users that plots are about, and their bits in shape.users.
var (
	ciDeploy, hasDeploy = rotation.UserRef{Account: prod, Name: "ci-deploy"}, uint(1 << 0)
	backup, hasBackup   = rotation.UserRef{Account: prod, Name: "backup"}, uint(1 << 1)
	reports, hasReports = rotation.UserRef{Account: prod, Name: "reports"}, uint(1 << 2)
	legacy, hasLegacy   = rotation.UserRef{Account: prod, Name: "legacy"}, uint(1 << 3)
	idle, hasIdle       = rotation.UserRef{Account: prod, Name: "idle"}, uint(1 << 4)
)

var plots = []plot{
	{"replace", shape{replicas: 1, users: hasDeploy}, playReplace},
	{"adopt", shape{replicas: 1, users: hasBackup}, playAdopt},
	{"a rule", shape{replicas: 1, users: hasDeploy, ruled: true}, playRule},
	{"reactivate", shape{replicas: 1, users: hasBackup}, playReactivate},
	{"reissue", shape{replicas: 1, users: hasDeploy}, playReissue},
	{"not me", shape{replicas: 1, users: hasDeploy}, playDisown},
	{"overrule", shape{replicas: 1, users: hasDeploy}, playOverrule},
	{"leak", shape{replicas: 1, users: hasDeploy}, playLeak},
	{"turn down", shape{replicas: 1, users: hasDeploy}, playTurnDown},
	{"withdraw", shape{replicas: 1, users: hasDeploy}, playWithdraw},
	{"retire", shape{replicas: 1, users: hasIdle}, playRetire},
	{"deny the deletion", shape{replicas: 1, users: hasIdle}, playExpiring},
	{"retire a leftover", shape{replicas: 1, users: hasLegacy}, playLeftover},
	{"stuck and closed", shape{replicas: 1, users: hasDeploy}, playClose},
	{"stuck and tried again", shape{replicas: 1, users: hasDeploy}, playTryAgain},
	{"stuck in the grace", shape{replicas: 1, users: hasIdle}, playStuckInGrace},
	{"a suspect is revoked", shape{replicas: 1, users: hasDeploy}, playRevoke},
	{"a suspect is kept", shape{replicas: 1, users: hasDeploy}, playKeep},
	{"a lost creation", shape{replicas: 1, users: hasDeploy}, playLostCreation},
	{"lost messages", shape{replicas: 1, users: hasReports}, playLostMessages},
	{"few rights", shape{replicas: 1, users: hasDeploy}, playFewRights},
	{"a group is the owner", shape{replicas: 1, users: hasDeploy, group: true}, playGroup},
	{"an address names the owner", shape{replicas: 1, users: hasDeploy, mail: true}, playMail},
	{"words", shape{replicas: 1, users: hasDeploy}, playWords},
	{"two replicas", shape{replicas: 2, users: hasDeploy, lag: time.Second}, playTwoReplicas},
}

func (p *play) starts() { p.startsAs("the bot starts") }

// startsAs has the bot start and scan. Nobody waits in the bubble for the scan that follows one which has failed.
func (p *play) startsAs(scene string) {
	p.scene(scene, func() {
		p.begin(0)
		p.pass(5 * time.Second) // it leads, if another one joins it
		p.until(func() bool {
			return len(p.running()) == p.shape.replicas && p.slack.Sockets() >= 2*p.shape.replicas && p.warned()
		}, func() {
			if p.slack.Sockets() > 0 && !p.warned() {
				p.leap(day / 2)
			}
		})
	})
}

// warned tells whether each user's owner has been told that a key is too old.
func (p *play) warned() bool {
	docs := p.kept.progresses()
	return len(docs) == len(p.seeds) && !slices.ContainsFunc(docs, func(d rotation.Progress) bool {
		return len(d.Notices) == 0 || d.Notices[0].Sent.IsZero()
	})
}

// issued has a key asked for and made.
func (p *play) issued(owner, approver string, user rotation.UserRef) {
	p.scene("the owner asks by the form", func() { p.asks(owner, user, rotation.Replace) })
	p.scene("the creation is approved", func() { p.approvesCreation(approver, user) })
}

func (p *play) approvesCreation(approver string, user rotation.UserRef) {
	p.decide(approver, "approve", user, rotation.Switching)
	p.until(func() bool { return p.has(user) }, func() {})
}

// deactivated has the owner confirm and the old key made inactive.
func (p *play) deactivated(owner, approver string, user rotation.UserRef) {
	p.scene("the owner confirms", func() {
		p.moves(user)
		p.decide(owner, "confirm", user, rotation.Confirmed)
	})
	p.scene("the deactivation is approved", func() { p.decide(approver, "approve", user, rotation.Grace) })
}

// deleted has the grace pass and the old key deleted.
func (p *play) deleted(approver string, user rotation.UserRef) {
	p.scene("the grace passes", func() { p.gracePasses(user, rotation.Expiring) })
	p.scene("the deletion is approved", func() { p.decide(approver, "approve", user, rotation.Done) })
}

func (p *play) gracePasses(user rotation.UserRef, to rotation.Stage) {
	p.leap(grace + time.Minute)
	p.until(func() bool { return p.rotation(user).Stage == to }, func() {})
}

// abandoned ends a rotation whose new key is not used yet.
func (p *play) abandoned(owner string, user rotation.UserRef) {
	p.scene("the owner keeps the old key", func() { p.decide(owner, "abandon", user, rotation.Cancelled) })
}

func playReplace(p *play) {
	p.starts()
	p.issued(olivia, alice, ciDeploy)
	p.scene("the owner has stored the secret", func() {
		p.until(func() bool { return !p.rotation(ciDeploy).Handover.Received.IsZero() }, func() { p.click(olivia, "receipt", ciDeploy) })
	})
	p.deactivated(olivia, bob, ciDeploy)
	p.deleted(carol, ciDeploy)
	p.scene("a week passes", func() { p.leap(8 * day) })
}

// adopted has the owner begin with two active keys.
func (p *play) adopted() {
	p.starts()
	p.scene("the owner starts from the warning", func() {
		p.until(p.at(backup, 1, rotation.Switching), func() { p.click(oscar, "start", backup) })
	})
}

func playAdopt(p *play) {
	p.adopted()
	p.scene("the owner confirms", func() {
		p.moves(backup)
		p.decide(oscar, "confirm", backup, rotation.Confirmed)
	})
	p.scene("the owner takes the confirmation back", func() { p.decide(oscar, "cancel", backup, rotation.Switching) })
	p.scene("the owner keeps both keys", func() { p.decide(oscar, "cancel", backup, rotation.Cancelled) })
}

func playReactivate(p *play) {
	p.adopted()
	p.deactivated(oscar, bob, backup)
	p.scene("the owner takes the key back", func() { p.decide(oscar, "reactivate", backup, rotation.Switching) })
	p.scene("the owner confirms again", func() {
		p.leap(quiet + time.Minute)
		p.opens(backup)
		p.decide(oscar, "confirm", backup, rotation.Confirmed)
	})
	p.scene("the deactivation is approved again", func() { p.decide(alice, "approve", backup, rotation.Grace) })
	p.deleted(carol, backup)
}

func playExpiring(p *play) {
	p.retires()
	p.scene("the grace of the retirement passes", func() { p.gracePasses(idle, rotation.Expiring) })
	p.scene("the deletion is denied", func() { p.reason(bob, "deny", idle, rotation.Grace) })
	p.scene("the next grace passes", func() { p.gracePasses(idle, rotation.Expiring) })
	p.scene("an approver takes the key back", func() { p.decide(carol, "reactivate", idle, rotation.Cancelled) })
}

func playReissue(p *play) {
	p.starts()
	p.issued(olivia, alice, ciDeploy)
	p.scene("the owner has lost the secret", func() {
		p.until(func() bool { return p.rotation(ciDeploy).Issued >= 2 && p.has(ciDeploy) }, func() {
			if p.rotation(ciDeploy).Stage == rotation.Switching {
				p.click(olivia, "reissue", ciDeploy)
			}
		})
	})
	p.scene("the secret is not received", func() {
		p.leap(visible + time.Minute)
		p.until(func() bool { return p.rotation(ciDeploy).Handover.Gone }, func() {})
	})
	p.abandoned(olivia, ciDeploy)
}

func playDisown(p *play) {
	p.starts()
	p.issued(olivia, alice, ciDeploy)
	p.scene("the owner has not asked for the key", func() { p.decide(olivia, "disown", ciDeploy, rotation.Stuck) })
	p.scene("the disowned key is revoked", func() { p.decide(bob, "revoke", ciDeploy, rotation.Cancelled) })
}

func playOverrule(p *play) {
	p.starts()
	p.issued(olivia, alice, ciDeploy)
	p.scene("the evidence is overruled", func() { p.reason(bob, "overrule", ciDeploy, rotation.Confirmed) })
	p.scene("the overruled deactivation is approved", func() { p.decide(alice, "approve", ciDeploy, rotation.Grace) })
	p.scene("the owner takes the key back after all", func() { p.decide(olivia, "reactivate", ciDeploy, rotation.Switching) })
	p.abandoned(olivia, ciDeploy)
}

func playLeak(p *play) {
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	key := string(p.rotation(ciDeploy).Old)
	p.scene("on-call reports a leak", func() {
		p.until(p.at(ciDeploy, 2, rotation.Leaked), func() { p.people.command(dora, "leaked "+key) })
	})
	p.scene("on-call deactivates the leaked key", func() { p.decide(dora, "approve", ciDeploy, rotation.Grace) })
	p.scene("the owner asks for a key in place of the leaked one", func() { p.decide(olivia, "replenish", ciDeploy, rotation.Requested) })
	p.scene("a key in place of the leaked one is approved", func() {
		p.decide(alice, "approve", ciDeploy, rotation.Grace)
		p.until(func() bool { return p.people.wallets[ciDeploy.String()][string(p.rotation(ciDeploy).New)] }, func() {})
	})
	p.scene("the owner takes the leaked key back", func() { p.decide(olivia, "reactivate", ciDeploy, rotation.Leaked) })
	p.scene("an approver denies that it leaked", func() { p.reason(bob, "deny", ciDeploy, rotation.Denied) })
}

func playTurnDown(p *play) {
	p.starts()
	p.scene("on-call starts from the digest", func() {
		p.until(p.at(ciDeploy, 1, rotation.Requested), func() { p.click(dora, "start", ciDeploy) })
	})
	p.scene("a stranger clicks", func() { p.clicksInVain(stranger, "approve", ciDeploy) })
	p.scene("somebody clicks who may not", func() { p.clicksInVain(dora, "approve", ciDeploy) })
	p.scene("the creation is denied", func() { p.reason(bob, "deny", ciDeploy, rotation.Denied) })
}

// playRule has two of a group approve, the first of them twice.
func playRule(p *play) {
	p.starts()
	p.scene("the owner asks under a rule", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the first of two approves", func() {
		p.until(func() bool { ask, _ := p.rotation(ciDeploy).CurrentAsk(); return len(ask.Approvals()) == 1 }, func() { p.click(alice, "approve", ciDeploy) })
	})
	p.scene("the first approves again", func() { p.clicksInVain(alice, "approve", ciDeploy) })
	p.scene("the second of two approves", func() { p.approvesCreation(bob, ciDeploy) })
	p.abandoned(olivia, ciDeploy)
}

func playWithdraw(p *play) {
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the owner withdraws", func() { p.decide(olivia, "cancel", ciDeploy, rotation.Cancelled) })
	p.scene("the owner asks again", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the owner reminds the approvers", func() {
		p.leap(61 * time.Minute)
		p.until(func() bool { return p.reminders(ciDeploy) == 1 }, func() { p.people.command(olivia, "remind") })
	})
	p.scene("nobody decides", func() {
		p.leap(expires + time.Minute)
		p.until(p.at(ciDeploy, 2, rotation.Lapsed), func() {})
	})
}

// reminders counts those of a user's latest ask.
func (p *play) reminders(user rotation.UserRef) int {
	asks := p.rotation(user).Asks
	return len(asks[len(asks)-1].Reminders)
}

// clicksInVain has somebody click who may not, until they are told so.
func (p *play) clicksInVain(member, on string, user rotation.UserRef) {
	refused := func() int {
		n := 0
		for _, e := range p.kept.entries() {
			if e.Actor == member && e.Outcome == "refused" {
				n++
			}
		}
		return n
	}
	before := refused()
	p.until(func() bool { return refused() > before }, func() { p.click(member, on, user) })
}

// retires has a key that nobody uses made inactive.
func (p *play) retires() {
	p.starts()
	p.scene("the owner asks to retire", func() { p.asks(oscar, idle, rotation.Retire) })
	p.scene("the retirement is approved", func() { p.decide(alice, "approve", idle, rotation.Grace) })
}

func playRetire(p *play) {
	p.retires()
	p.scene("the grace of the retirement passes", func() { p.gracePasses(idle, rotation.Expiring) })
	p.scene("the end of the key is approved", func() { p.decide(carol, "approve", idle, rotation.Done) })
}

func playLeftover(p *play) {
	p.starts()
	p.scene("the owner asks to retire a leftover", func() {
		p.asks(olivia, legacy, rotation.Retire)
	})
	p.scene("the owner keeps the leftover", func() { p.decide(olivia, "cancel", legacy, rotation.Cancelled) })
}

// refused has AWS refuse a creation until the rights are mended.
func (p *play) refused() (mend func()) {
	denied := true
	p.calls.usual["aws CreateAccessKey"] = func(int, string) *plight {
		if !denied {
			return nil
		}
		return &plight{aws: iamsim.Fault{Code: "AccessDenied"}, refused: true}
	}
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("a creation is approved that AWS refuses", func() { p.decide(alice, "approve", ciDeploy, rotation.Stuck) })
	return func() { denied = false }
}

func playClose(p *play) {
	p.refused()
	p.scene("an approver tries again in vain", func() { p.decide(bob, "try-again", ciDeploy, rotation.Stuck) })
	p.scene("an approver closes the rotation", func() { p.reason(carol, "close", ciDeploy, rotation.Closed) })
}

func playTryAgain(p *play) {
	mend := p.refused()
	mend()
	p.scene("an approver tries again", func() {
		p.decide(bob, "try-again", ciDeploy, rotation.Switching)
		p.until(func() bool { return p.has(ciDeploy) }, func() {})
	})
	p.abandoned(olivia, ciDeploy)
}

func playStuckInGrace(p *play) {
	p.retires()
	key := string(p.rotation(idle).Old)
	p.scene("somebody turns the key on by hand", func() {
		p.watch.toggled[key] = true
		p.accounts[prod].SetKeyStatus(key, true)
		p.gracePasses(idle, rotation.Stuck)
	})
	p.accounts[prod].SetKeyStatus(key, false)
	p.scene("an approver goes on with the grace", func() { p.decide(bob, "try-again", idle, rotation.Grace) })
	p.scene("somebody deletes the key by hand", func() {
		p.watch.gone[key] = true
		p.accounts[prod].RemoveKey(key)
		p.gracePasses(idle, rotation.Stuck)
	})
	p.scene("an approver closes what cannot go on", func() { p.reason(carol, "close", idle, rotation.Closed) })
}

// suspects has the answer to the first creation lost, where nobody can look up who has made a key.
func (p *play) suspects(fault func() *iamsim.Fault) {
	mended := false
	p.calls.usual["aws LookupEvents"] = func(int, string) *plight {
		if mended {
			return nil
		}
		return &plight{aws: iamsim.Fault{Code: "AccessDenied"}, refused: true}
	}
	p.calls.usual["aws CreateAccessKey"] = func(n int, _ string) *plight {
		if n > 1 {
			return nil
		}
		f := fault()
		return &plight{aws: *f, premise: true}
	}
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("a creation is approved whose answer is lost", func() { p.decide(alice, "approve", ciDeploy, rotation.Stuck) })
	mended = true
}

func playRevoke(p *play) {
	p.suspects(func() *iamsim.Fault { return &iamsim.Fault{Drop: true, Apply: true} })
	p.scene("the suspect is revoked", func() {
		p.decide(bob, "revoke", ciDeploy, rotation.Switching)
		p.until(func() bool { return p.has(ciDeploy) }, func() {})
	})
	p.abandoned(olivia, ciDeploy)
}

// playKeep has somebody make a key by hand in the same second.
func playKeep(p *play) {
	p.suspects(func() *iamsim.Fault {
		p.accounts[prod].AddKey(ciDeploy.Name, iamsim.Key{})
		return &iamsim.Fault{Drop: true}
	})
	p.scene("the suspect is kept", func() { p.decide(bob, "keep", ciDeploy, rotation.Switching) })
	p.scene("the owner keeps both keys of a suspect", func() { p.decide(olivia, "cancel", ciDeploy, rotation.Cancelled) })
}

func playLostCreation(p *play) {
	p.calls.usual["aws CreateAccessKey"] = func(n int, _ string) *plight {
		if n > 1 {
			return nil
		}
		return &plight{aws: iamsim.Fault{Drop: true, Apply: true}, premise: true}
	}
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("a creation is approved, and its answer lost", func() { p.approvesCreation(alice, ciDeploy) })
	p.abandoned(olivia, ciDeploy)
}

// playLostMessages has Slack lose some answers, and has the ways of answering fail one after the other.
func playLostMessages(p *play) {
	broken := map[string]bool{}
	for _, method := range []string{"response_url", "chat.postEphemeral"} {
		p.calls.usual["slack "+method] = func(int, string) *plight {
			if !broken[method] {
				return nil
			}
			return &plight{slack: slacksim.Fault{Error: "internal_error"}, refused: true}
		}
	}
	losing := true
	p.calls.usual["slack chat.postMessage"] = func(_ int, to string) *plight {
		if !losing || to != approvals {
			return nil
		}
		losing = false
		return &plight{slack: slacksim.Fault{Drop: true, Apply: true}, premise: true}
	}
	p.starts()
	p.scene("the owner asks, and an answer to a card is lost", func() { p.asks(alice, reports, rotation.Replace) })
	broken["response_url"] = true
	p.scene("somebody is refused without a response URL", func() { p.clicksInVain(dora, "approve", reports) })
	broken["chat.postEphemeral"] = true
	p.scene("somebody is refused by a direct message", func() { p.clicksInVain(dora, "approve", reports) })
	losing = true
	p.scene("the owner withdraws, and an answer to a line of the thread is lost", func() { p.decide(alice, "cancel", reports, rotation.Cancelled) })
}

func playFewRights(p *play) {
	p.calls.usual["aws GetAccountAuthorizationDetails"] = func(int, string) *plight {
		return &plight{aws: iamsim.Fault{Code: "AccessDenied"}, refused: true}
	}
	p.startsAs("the bot starts with few rights")
	p.scene("the owner asks by the form of a bot with few rights", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the owner withdraws", func() { p.decide(olivia, "cancel", ciDeploy, rotation.Cancelled) })
}

// playGroup has one of a group begin and another one of it take the request back.
func playGroup(p *play) {
	p.startsAs("the bot starts where a group is the owner")
	p.scene("one of the group asks", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.pass(time.Minute) // so that the group is looked up again
	p.scene("another one of the group withdraws", func() { p.decide(oscar, "cancel", ciDeploy, rotation.Cancelled) })
}

func playMail(p *play) {
	p.startsAs("the bot starts where addresses name owners")
	p.pass(2 * time.Minute) // what was looked up for the scan is forgotten
	p.scene("the owner asks whom an address names", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the owner withdraws", func() { p.decide(olivia, "cancel", ciDeploy, rotation.Cancelled) })
}

func playWords(p *play) {
	p.starts()
	for _, words := range []string{"help", "status", "frobnicate"} {
		p.scene("somebody types "+words, func() {
			before := len(p.replies(olivia))
			p.until(func() bool { return len(p.replies(olivia)) > before }, func() { p.people.command(olivia, words) })
		})
	}
	p.scene("an approver asks for today's digest", func() {
		p.until(func() bool { return p.hasFiles(alice, "D") }, func() {
			promised := func(said string) bool { return strings.Contains(said, "sends it to you") }
			if !slices.ContainsFunc(p.replies(alice), promised) {
				p.people.command(alice, "digest")
			}
		})
	})
	p.scene("a Home tab is opened", func() {
		p.until(func() bool { return p.slack.As(olivia).Screen().Home != nil }, func() { p.people.opensHome(olivia) })
	})
	p.scene("a week passes with a digest", func() {
		p.leap(8 * day)
		p.until(func() bool { return p.watch.missingDigest() == "" && p.hasFiles(carol, onCall) }, func() {})
	})
}

// hasFiles tells whether a digest's files stand in its thread, in a channel whose id begins so.
func (p *play) hasFiles(member, channel string) bool {
	for _, c := range p.slack.As(member).Screen().Channels {
		if strings.HasPrefix(c.ID, channel) && slices.ContainsFunc(c.Messages, func(m slacksim.Message) bool { return len(m.Files) > 0 }) {
			return true
		}
	}
	return false
}

// replies lists what only a member sees.
func (p *play) replies(member string) []string {
	var all []string
	for _, c := range p.slack.As(member).Screen().Channels {
		for _, m := range c.Messages {
			if m.Ephemeral {
				all = append(all, m.Content())
			}
		}
	}
	return all
}

func playTwoReplicas(p *play) {
	p.startsAs("two replicas start")
	p.pass(time.Minute) // so that whichever is asked looks people up
	p.scene("two replicas hear the owner ask", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("two replicas hear the approval", func() { p.approvesCreation(alice, ciDeploy) })
	p.pass(time.Minute)
	p.scene("two replicas hear the owner keep the old key", func() { p.decide(olivia, "abandon", ciDeploy, rotation.Cancelled) })
	p.scene("the first of two replicas stops", func() {
		if p.replicas[0] != nil {
			p.stop(0)
		}
		p.pass(10 * time.Second)
	})
}

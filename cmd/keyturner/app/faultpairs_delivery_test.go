package app_test

import (
	"slices"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
	"github.com/keyturner/keyturner/rotation"
)

// deliveryPlots are those in which a secret goes another way than by a plain direct message.
var deliveryPlots = []plot{
	{"sealed", shape{replicas: 1, users: hasDeploy, delivery: rotation.Sealed}, playSealed},
	{"revealed", shape{replicas: 1, users: hasDeploy, delivery: rotation.Reveal}, playRevealed},
	{"into Secrets Manager", shape{replicas: 1, users: hasDeploy, delivery: rotation.InSecretsManager}, playIntoAWS},
	{"into the Parameter Store", shape{replicas: 1, users: hasDeploy, delivery: rotation.InSSM}, playIntoAWS},
}

// givesKey has a member give their public key, until they are told of it.
func (p *play) givesKey(member string) {
	told := func() bool {
		return slices.ContainsFunc(p.messages(dm(member)), func(m slacksim.Message) bool {
			return strings.Contains(m.Text, "public key for secrets was set")
		})
	}
	p.until(told, func() { p.people.command(member, "mykey "+publicKey+" ") })
}

func playSealed(p *play) {
	p.starts()
	p.scene("the owner asks without a public key", func() {
		before := len(p.kept.entries())
		p.until(func() bool {
			return slices.ContainsFunc(p.kept.entries()[before:], func(e rotation.Entry) bool {
				return e.Actor == olivia && e.Outcome == "refused" && strings.Contains(e.Detail, string(rotation.NoRecipient))
			})
		}, func() { p.click(olivia, "start", ciDeploy) })
	})
	p.scene("the owner gives a public key", func() { p.givesKey(olivia) })
	p.scene("the owner asks for a sealed secret", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the creation with a sealed secret is approved", func() { p.approvesCreation(alice, ciDeploy) })
	p.scene("the owner has stored the sealed secret", func() {
		p.until(func() bool { return p.rotation(ciDeploy).Handover.Gone }, func() { p.click(olivia, "receipt", ciDeploy) })
	})
	p.deactivated(olivia, bob, ciDeploy)
	p.deleted(carol, ciDeploy)
}

// opensKey has the owner of a user open their new key in a window, until they have it. They wait for the message that it can be made.
func (p *play) opensKey(owner string, user rotation.UserRef) {
	p.until(func() bool { return p.has(user) }, func() {
		told := slices.ContainsFunc(p.messages(dm(owner)), func(m slacksim.Message) bool { return strings.Contains(m.Text, "can be made") })
		if told && p.rotation(user).Stage == rotation.Offered {
			p.closeAll(owner)
			p.click(owner, "collect", user)
		}
	})
}

func playRevealed(p *play) {
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("a creation is approved that is to be revealed", func() { p.decide(alice, "approve", ciDeploy, rotation.Offered) })
	p.scene("the owner opens the new key", func() { p.opensKey(olivia, ciDeploy) })
	p.scene("the owner has closed the window too soon", func() {
		before := p.rotation(ciDeploy).Issued
		p.until(func() bool {
			return p.rotation(ciDeploy).Issued > before || p.rotation(ciDeploy).Stage == rotation.Offered
		}, func() {
			p.click(olivia, "reissue", ciDeploy)
		})
		p.opensKey(olivia, ciDeploy)
		p.closeAll(olivia)
	})
	p.deactivated(olivia, bob, ciDeploy)
	p.deleted(carol, ciDeploy)
}

func playIntoAWS(p *play) {
	kind := string(p.shape.delivery)
	p.starts()
	p.scene("the owner asks by the form", func() { p.asks(olivia, ciDeploy, rotation.Replace) })
	p.scene("the creation into "+kind+" is approved", func() { p.approvesCreation(alice, ciDeploy) })
	p.scene("another key goes into "+kind, func() {
		before := p.rotation(ciDeploy).Issued
		p.until(func() bool { return p.rotation(ciDeploy).Issued > before && p.has(ciDeploy) }, func() {
			if p.rotation(ciDeploy).Stage == rotation.Switching {
				p.click(olivia, "reissue", ciDeploy)
			}
		})
	})
	p.pass(time.Minute)
	p.deactivated(olivia, bob, ciDeploy)
	p.deleted(carol, ciDeploy)
}

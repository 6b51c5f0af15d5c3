// Package slacksim simulates a Slack workspace with one app installed: the Web API,
// Socket Mode, response URLs and file uploads on their real wire protocol, and people who
// see a screen, type commands, click and fill in forms. The vendors' own clients, pointed
// at it, behave as they do against Slack. It is for tests and for the sandbox.
//
// A test makes a [Sim], adds members and channels, serves it and points a client at it:
//
//	sim := slacksim.New(slacksim.Config{})
//	sim.AddMember(slacksim.Member{ID: "U1", Name: "ana"})
//	sim.AddChannel(slacksim.Channel{ID: "C1", Name: "key-approvals"})
//	server := httptest.NewServer(sim)
//	api := slack.New(sim.BotToken(), slack.OptionAPIURL(server.URL+"/api/"), slack.OptionAppLevelToken(sim.AppToken()))
//	…
//	reply, err := sim.As("U1").Command(ctx, "C1", "/rotate-key", "status")
//
// Inside a synctest bubble there is no network: [Sim.HTTPClient] and [Sim.SocketDialer]
// reach the workspace through pipes, and [Sim.Close] ends the bubble's last goroutines.
//
// # Design
//
// Two faces. [Sim.ServeHTTP] is the protocol and nothing else; [Sim.Control] is for a page
// and the methods of Sim are for tests. Nothing on the protocol face betrays a simulator,
// save the tokens: only the two minted by [New] pass, and a request with a credential that
// might be real is refused and not recorded.
//
// Honest to clients. A member's posts, the app's own messages in direct messages, edits and
// deletions come back as events; a trigger works once and for three seconds; an
// acknowledgement of 20 KB is dropped in silence; the eleventh socket is turned away; each
// envelope takes one socket at random; a socket is asked to refresh after five hours. An
// event that is not acknowledged comes again at once, after one minute and after five, in a
// new envelope with the same event_id. Limits on rates bite at Slack's published minimum.
//
// Honest to people. A [Person] can only do what a screen allows: a button that is gone,
// hidden or under another modal gives [ErrNotOnScreen]. [Person.ClickStale] is the one
// exception, for a client that has not caught up. A person waits for the acknowledgement,
// and sees Slack's own words when none comes.
//
// One table. [ValidateBlocks] and [ValidateView] apply the same limits as the API, so that
// golden tests of an app's messages and the simulator cannot disagree.
//
// One lock. Every request and deed runs under one mutex, and every wait happens outside of
// it, so a run is a sequence of steps. Waiting uses timers; time stamps, triggers, response
// URLs and rates use [Config.Now], which may leap ahead by days.
//
// Ids of envelopes, events, views and triggers are random, because an app with a store of
// its own must never meet one again after a restart. Ids of direct messages follow from the
// member's and stay.
//
// Sources: docs.slack.dev (Socket Mode, Web API methods, rate limits, Block Kit), the
// source and wire behaviour of slack-go v0.35.0 and of @slack/bolt 5.1.0 with
// @slack/socket-mode 3.1.0 and @slack/web-api 8.2.0, and public issues of both. The tests
// run all of these against it; duties_test.go lists what they hold it to.
//
// # What it does not model
//
// Persistence, user tokens, OAuth, Enterprise Grid, Slack Connect beyond channels shared
// with members of other workspaces, workflows, shortcuts, message.channels events,
// unfurling, reminders, scheduled and streamed messages, options loaded from the app
// (external_select is drawn and cannot be filled), link names, parse modes, and rich_text
// and table contents beyond their counts. The blocks card, carousel, container, data_table,
// data_visualization, plan and task_card are refused everywhere.
//
// Where Slack publishes nothing, this is chosen: 8,000 bytes of metadata; HTTP 404 for a
// used or expired response URL; a late acknowledgement is ignored; a modal opened while
// others are open takes their place; the delivery schedule of events is the one documented
// for HTTP; members of another workspace have no slash commands in a shared channel, and can
// be written to directly; the server closes the connection after answering a close frame,
// which Slack has been seen not to do; lookupByEmail does not find deactivated members.
package slacksim

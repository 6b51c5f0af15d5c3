package slacksim

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upload is a file, from the request for its URL to its share in a channel.
type upload struct {
	id, name, title string
	content         []byte
	length          int
	received, done  bool
}

func filesJSON(files []*upload) []map[string]any {
	out := []map[string]any{}
	for _, f := range files {
		out = append(out, map[string]any{"id": f.id, "name": f.name, "title": f.title, "size": len(f.content), "user": botUser})
	}
	return out
}

func (s *Sim) uploadURL(c *call) (reply, *apiError) {
	length, err := strconv.Atoi(c.args["length"])
	switch {
	case c.args["filename"] == "" || err != nil || length <= 0:
		return nil, fail("invalid_arguments")
	case len(c.args["alt_txt"]) > 1000:
		return nil, fail("alt_txt_too_large")
	}
	f := &upload{id: randomID("F"), name: c.args["filename"], title: c.args["filename"], length: length}
	s.uploads[f.id] = f
	return reply{"upload_url": c.base + uploadPath + f.id, "file_id": f.id}, nil
}

// serveUpload takes the bytes, raw or as a multipart form. The form's terminator may come
// twice, as one client sends it.
func (s *Sim) serveUpload(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.uploads[strings.TrimPrefix(c.req.URL.Path, uploadPath)]
	content, err := uploaded(c)
	switch {
	case f == nil || f.done || c.req.Method != http.MethodPost:
		return answer{status: http.StatusNotFound, body: "not found"}
	case err != nil || len(content) != f.length:
		return answer{status: http.StatusBadRequest, body: "bad upload"}
	}
	f.content, f.received = content, true
	return answer{body: "OK - " + strconv.Itoa(len(content))}
}

func uploaded(c *call) ([]byte, error) {
	kind, params, _ := mime.ParseMediaType(c.req.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return c.body, nil
	}
	part, err := multipart.NewReader(bytes.NewReader(c.body), params["boundary"]).NextPart()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(part)
}

func (s *Sim) completeUpload(c *call) (reply, *apiError) {
	var wanted []struct{ ID, Title string }
	if ok, err := c.args.json("files", &wanted); !ok || err != nil || len(wanted) == 0 {
		return nil, fail("invalid_arguments")
	}
	var files []*upload
	for _, w := range wanted {
		f := s.uploads[w.ID]
		if f == nil || !f.received || f.done {
			return nil, fail("file_not_found")
		}
		f.title = orDefault(w.Title, f.name)
		files = append(files, f)
	}
	places := strings.FieldsFunc(c.args["channels"]+","+c.args["channel_id"], func(r rune) bool { return r == ',' })
	for _, place := range places {
		if err := s.share(c, place, files); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		f.done = true
	}
	return reply{"files": filesJSON(files)}, nil
}

// share posts files into one channel. It wants the channel's id, not a member's.
func (s *Sim) share(c *call, place string, files []*upload) *apiError {
	if s.members[place] != nil {
		return fail("channel_not_found")
	}
	ch, err := s.target(place)
	if err != nil {
		return err
	}
	thread, err := ch.thread(c.args["thread_ts"])
	if err != nil {
		return err
	}
	if err := s.limitedPost(ch.id); err != nil {
		return err
	}
	s.post(ch, &message{user: botUser, byBot: true, thread: thread, text: c.args["initial_comment"], files: files})
	return nil
}

// checkFiles finds images of files that nobody but the app could see: a file is everyone's in a channel once it has been shared there.
func (s *Sim) checkFiles(blocks []block) []*BlockError {
	var found []*BlockError
	for i, b := range blocks {
		at := "/blocks/" + strconv.Itoa(i)
		for member, pointer := range map[string]string{"": at + "/slack_file", "accessory": at + "/accessory/slack_file"} {
			shown := map[string]any(b)
			if member != "" {
				shown, _ = b[member].(map[string]any)
			}
			if file, ok := shown["slack_file"].(map[string]any); ok && !s.shared(stringAt(file, "id")) {
				found = append(found, &BlockError{"invalid slack file", pointer})
			}
		}
	}
	return found
}

// shared tells whether a file stands in a channel.
func (s *Sim) shared(id string) bool {
	return slices.ContainsFunc(s.listed, func(ch string) bool { return s.channels[ch].holds(id) })
}

func (ch *channel) holds(file string) bool {
	return slices.ContainsFunc(ch.messages, func(m *message) bool {
		return slices.ContainsFunc(m.files, func(f *upload) bool { return f.id == file })
	})
}

// serveFile gives a file to a member who sees it.
func (s *Sim) serveFile(w http.ResponseWriter, r *http.Request) {
	id, member := r.PathValue("id"), r.URL.Query().Get("as")
	s.mu.Lock()
	file := s.uploads[id]
	sees := slices.ContainsFunc(s.listed, func(ch string) bool { return s.channels[ch].has(member) && s.channels[ch].holds(id) })
	s.mu.Unlock()
	if !sees {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, file.name, time.Time{}, bytes.NewReader(file.content))
}

package rotation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// assertHides prints, logs and marshals each value in every usual way and fails if the secret comes out.
func assertHides(t *testing.T, secret string, values ...any) {
	t.Helper()
	for _, v := range values {
		var logs bytes.Buffer
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "v", v)
		marshalled, err := json.Marshal(v)
		if err != nil {
			t.Errorf("marshal %T: %v", v, err)
		}
		out := fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v) + logs.String() + string(marshalled)
		if strings.Contains(out, secret) || strings.Contains(out, fmt.Sprintf("%x", secret)) {
			t.Errorf("%T shows the secret: %s", v, out)
		}
	}
}

package listing

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the listing as one object.
func (l Listing) JSON(w io.Writer) error { return encode(w, l) }

func encode(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

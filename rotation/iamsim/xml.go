package iamsim

import (
	"bytes"
	"encoding/xml"
	"time"
)

// list is how the Query protocol nests a list: <Name><member>…</member></Name>.
type list[T any] struct {
	Member []T `xml:"member"`
}

// page is the tail of every paged result.
type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// stamp words a time as the wire does: UTC, whole seconds, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

type responseMetadata struct {
	RequestID string `xml:"RequestId"`
}

type errorResponse struct {
	XMLName   xml.Name
	Error     errorBody
	RequestID string `xml:"RequestId"`
}

type errorBody struct {
	Type    string
	Code    string
	Message string
}

// successXML is the envelope of an operation that went well. A nil result means
// an operation without output, which has no Result element.
func (a *api) successXML(op, requestID string, result any) ([]byte, error) {
	var buf bytes.Buffer
	enc := xml.NewEncoder(&buf)
	root := element(a.namespace, op+"Response")
	if err := enc.EncodeToken(root); err != nil {
		return nil, err
	}
	if result != nil {
		if err := enc.EncodeElement(result, element("", op+"Result")); err != nil {
			return nil, err
		}
	}
	if err := enc.EncodeElement(responseMetadata{requestID}, element("", "ResponseMetadata")); err != nil {
		return nil, err
	}
	if err := enc.EncodeToken(root.End()); err != nil {
		return nil, err
	}
	err := enc.Close()
	return buf.Bytes(), err
}

// errorXML is the envelope of a failure.
func (a *api) errorXML(requestID string, e *apiError) ([]byte, error) {
	return xml.Marshal(errorResponse{
		XMLName:   xml.Name{Space: a.namespace, Local: "ErrorResponse"},
		Error:     errorBody{Type: e.kind(), Code: e.Code, Message: e.Message},
		RequestID: requestID,
	})
}

func element(namespace, name string) xml.StartElement {
	return xml.StartElement{Name: xml.Name{Space: namespace, Local: name}}
}

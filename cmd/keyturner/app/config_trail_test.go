package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestConfig_CloudTrail(t *testing.T) {
	cfg, err := Parse("kt.yaml", []byte(deliveringTo+"    cloudtrail: {regions: [eu-central-1, us-gov-east-1]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Accounts[0].TrailRegions; !slices.Equal(got, []string{"eu-central-1", "us-gov-east-1"}) {
		t.Errorf("regions %v", got)
	}
	if got, want := summary(t, cfg), "who still uses a key is read from CloudTrail in eu-central-1, us-gov-east-1\n"; !strings.Contains(got, want) {
		t.Errorf("want %q in:\n%s", want, got)
	}
	if cfg, err = Parse("kt.yaml", []byte(deliveringTo)); err != nil || cfg.Accounts[0].TrailRegions != nil || strings.Contains(summary(t, cfg), "CloudTrail") {
		t.Errorf("by default: %+v, %v", cfg.Accounts, err)
	}
}

func TestConfig_CloudTrailRefused(t *testing.T) {
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("eu-central-%d", i))
	}
	for name, test := range map[string]struct{ lines, want string }{
		"empty":       {"    cloudtrail:\n", "kt.yaml:5:5: cloudtrail has no regions; write cloudtrail: {regions: [us-east-1]}, or leave it out"},
		"no regions":  {"    cloudtrail: {}\n", "kt.yaml:5:17: cloudtrail has no regions; write regions: "},
		"none":        {"    cloudtrail: {regions: []}\n", "kt.yaml:5:17: cloudtrail has no regions; write regions: "},
		"not a list":  {"    cloudtrail: {regions: us-east-1}\n", "kt.yaml:5:27: regions is no list"},
		"a list":      {"    cloudtrail: [us-east-1]\n", "kt.yaml:5:17: cloudtrail is not made of fields"},
		"odd region":  {"    cloudtrail: {regions: [us-east-1, Frankfurt]}\n", `kt.yaml:5:39: "Frankfurt" is not a region; write the regions where`},
		"twice":       {"    cloudtrail: {regions: [us-east-1, us-east-1]}\n", "kt.yaml:5:39: us-east-1 stands here twice; write it once"},
		"nothing":     {"    cloudtrail:\n      regions:\n        -\n", "kt.yaml:7:"},
		"odd field":   {"    cloudtrail: {region: us-east-1}\n", `kt.yaml:5:18: unknown field "region" in cloudtrail; write regions`},
		"too many":    {"    cloudtrail: {regions: [" + strings.Join(many, ", ") + "]}\n", "kt.yaml:5:318: there are more than 20 regions"},
		"at the root": {"cloudtrail: {regions: [us-east-1]}\n", `kt.yaml:5:1: unknown field "cloudtrail"; write it under accounts`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("kt.yaml", []byte(deliveringTo+test.lines))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

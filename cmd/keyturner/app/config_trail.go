package app

import "fmt"

// maxTrailRegions bounds how many regions are read for one question, and named in the answer.
const maxTrailRegions = 20

// trail reads in which regions CloudTrail is asked who uses a key.
func (in *reader) trail(account section) []string {
	s, ok := account.child("cloudtrail")
	if !ok {
		if entry, there := account.values["cloudtrail"]; there && in.sound() {
			in.fail(positionOf(entry.Key), "cloudtrail has no regions", "cloudtrail: {regions: [us-east-1]}, or leave it out")
		}
		return nil
	}
	const example = "the regions where keys of the account are used, as in [eu-central-1, us-east-1]"
	nodes := s.list("regions")
	if len(nodes) == 0 && in.sound() {
		in.fail(s.at, "cloudtrail has no regions", "regions: "+example)
	}
	var regions []string
	seen := map[string]bool{}
	for i, node := range nodes {
		region, at, ok := in.text(node, "this region", example)
		switch {
		case !ok:
		case !awsRegion.MatchString(region):
			in.fail(at, shown(region)+" is not a region", example)
		case seen[region]:
			in.fail(at, region+" stands here twice", "it once")
		case i == maxTrailRegions:
			in.fail(at, fmt.Sprintf("there are more than %d regions", maxTrailRegions), "those where keys are used")
		}
		seen[region] = true
		regions = append(regions, region)
	}
	return regions
}

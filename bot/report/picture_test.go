package report

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/go-analyze/charts"
)

var bounds = []int{25, 50, 75, 90, 180, 360}

func someWeeks() []Week {
	var weeks []Week
	for i, n := range []int{400, 310, 290, 280, 285, 240, 0, 190, 170, 160, 150, 147, 130} {
		weeks = append(weeks, Week{Name: fmt.Sprintf("2026-W%02d", 35+i), Due: n, TooOld: n / 2, Whole: n != 0})
	}
	return weeks
}

// draw makes the picture and reads it again.
func draw(t *testing.T, ages []int, weeks []Week) image.Image {
	t.Helper()
	data, err := Picture(ages, bounds, weeks)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// area counts the pixels of a colour between two columns, below the titles and legends.
func area(picture image.Image, c charts.Color, from, to int) int {
	n := 0
	for x := from; x < to; x++ {
		for y := 85; y < height; y++ {
			if is, _ := color.NRGBAModel.Convert(picture.At(x, y)).(color.NRGBA); is == (color.NRGBA{c.R, c.G, c.B, 255}) {
				n++
			}
		}
	}
	return n
}

func TestPicture_BarsHaveTheColourOfWhatTheyMean(t *testing.T) {
	t.Parallel()
	for i, c := range []charts.Color{fine, fine, fine, soon, tooOld, tooOld, tooOld} {
		ages := make([]int, len(bounds)+1)
		ages[i] = 3
		picture := draw(t, ages, nil)
		if picture.Bounds() != image.Rect(0, 0, width, height) {
			t.Fatalf("it is %v", picture.Bounds())
		}
		for _, other := range []charts.Color{fine, soon, tooOld} {
			if drawn := area(picture, other, 0, width/2); (drawn > 1000) != (other == c) {
				t.Errorf("a key in band %d: %d pixels of %v", i, drawn, other)
			}
		}
		if is, _ := color.NRGBAModel.Convert(picture.At(1, 1)).(color.NRGBA); is != (color.NRGBA{255, 255, 255, 255}) {
			t.Errorf("the background is %v: on a dark screen the text could not be read", is)
		}
	}
}

// TestPicture_AWeekThatIsNotKnownLeavesAGap: it is not drawn as zero, and no line goes over it.
func TestPicture_AWeekThatIsNotKnownLeavesAGap(t *testing.T) {
	t.Parallel()
	picture := draw(t, []int{1, 0, 0, 0, 0, 0, 0}, someWeeks())
	const from, to = 868, 936 // between the points of W40 and W42
	if n := area(picture, due, from, to) + area(picture, tooOld, from, to); n != 0 {
		t.Errorf("%d pixels are drawn where W41 is", n)
	}
	if area(picture, due, 700, 860) == 0 || area(picture, tooOld, 944, 1160) == 0 {
		t.Error("the lines beside the gap are missing")
	}
}

func TestPicture_OfNothing(t *testing.T) {
	t.Parallel()
	for _, weeks := range [][]Week{nil, {{Name: "2026-W48"}}, {{Name: "2026-W48", Whole: true}}} {
		draw(t, make([]int, len(bounds)+1), weeks)
	}
}

func TestAlt_SaysWhatThePictureShows(t *testing.T) {
	t.Parallel()
	got := Alt([]int{812, 640, 410, 96, 71, 40, 23}, bounds, someWeeks()[6:9])
	want := "Active keys by age in days: 0–24: 812; 25–49: 640; 50–74: 410; 75–89: 96; 90–179: 71; 180–359: 40; 360+: 23. " +
		"Keys that needed attention, by week: W41: not known; W42: 190, 95 of them too old; W43: 170, 85 of them too old."
	if got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	if full := Alt([]int{812, 640, 410, 96, 71, 40, 23}, bounds, someWeeks()); len([]rune(full)) > 2000 {
		t.Errorf("%d characters are more than Slack takes", len([]rune(full)))
	}
}

func BenchmarkPicture(b *testing.B) {
	ages, weeks := []int{812, 640, 410, 96, 71, 40, 23}, someWeeks()
	for b.Loop() {
		if _, err := Picture(ages, bounds, weeks); err != nil {
			b.Fatal(err)
		}
	}
}

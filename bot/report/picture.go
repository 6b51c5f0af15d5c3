// Package report tells of a survey where Slack's blocks do not: in a picture, in a file, by mail and in Microsoft Teams. It knows neither
// Slack nor AWS, and sends nothing that is not given to it.
package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-analyze/charts"
)

// Week is what one digest told.
type Week struct {
	Name   string // of the ISO week, as in 2026-W48
	Due    int    // keys that needed attention
	TooOld int    // those of them that were too old
	Whole  bool   // every account could be read in full: otherwise the counts say too little, and are not drawn
}

// Trend is how many weeks the picture shows.
const Trend = 12

const width, height = 1200, 440 // Slack shows it at half of that

// The colours have a contrast of 3 to 1 and more against the background and differ in lightness, so that they are told apart without colour.
var (
	paper  = charts.ColorRGB(0xff, 0xff, 0xff)
	ink    = charts.ColorRGB(0x33, 0x33, 0x3a)
	faint  = charts.ColorRGB(0xe2, 0xe2, 0xe6)
	fine   = charts.ColorRGB(0x6f, 0x9b, 0x8f)
	soon   = charts.ColorRGB(0xb9, 0x77, 0x0e)
	tooOld = charts.ColorRGB(0x9c, 0x1c, 0x2e)
	due    = charts.ColorRGB(0x4a, 0x5a, 0xb5)
)

var look = charts.GetTheme(charts.ThemeLight).WithBackgroundColor(paper).WithTextColor(ink).
	WithXAxisColor(ink).WithYAxisColor(faint).WithAxisSplitLineColor(faint)

// Picture draws how old the keys are and how the weeks went, as a PNG of 1200 by 440 pixels on a background of its own, so that it can be
// read on a light screen and on a dark one. The bounds are those of rotation.Policy.Bands, and ages has one number
// more: the keys younger than the first bound, then those from each bound on. The weeks come the oldest first, the last Trend of them are drawn.
// A week that is missing or was not read in full leaves a gap.
func Picture(ages []int, bounds []int, weeks []Week) ([]byte, error) {
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputPNG, Width: width, Height: height})
	p.FilledRect(0, 0, width, height, paper, paper, 0)
	left := p.Child(charts.PainterBoxOption(charts.Box{Right: width/2 - 10, Bottom: height, IsSet: true}))
	right := p.Child(charts.PainterBoxOption(charts.Box{Left: width/2 + 10, Right: width, Bottom: height, IsSet: true}))
	if err := left.BarChart(distribution(ages, bounds)); err != nil {
		return nil, fmt.Errorf("draw how old the keys are: %w", err)
	}
	if err := right.LineChart(trend(weeks)); err != nil {
		return nil, fmt.Errorf("draw the weeks: %w", err)
	}
	png, err := p.Bytes()
	if err != nil {
		return nil, fmt.Errorf("make a PNG: %w", err)
	}
	return png, nil
}

// distribution stacks three series of which each band has one, so that its bars have the colour of what they mean.
func distribution(ages []int, bounds []int) charts.BarChartOption {
	kinds := make([][]float64, 3)
	for k := range kinds {
		kinds[k] = make([]float64, len(ages))
	}
	for i, n := range ages {
		kinds[kindOf(i)][i] = float64(n)
	}
	opt := charts.NewBarChartOptionWithData(kinds)
	opt.Theme = look.WithSeriesColors([]charts.Color{fine, soon, tooOld})
	opt.Title = title("Active keys by age in days")
	opt.Legend = legend("In time", "Soon too old", "Too old")
	opt.StackSeries = new(true)
	for i := range opt.SeriesList {
		opt.SeriesList[i].Label = charts.SeriesLabel{Show: new(true), FontStyle: charts.FontStyle{FontSize: 13, FontColor: ink}, ValueFormatter: unlessZero}
	}
	opt.CategoryAxis.Labels = bandNames(bounds)
	opt.CategoryAxis.LabelCount = len(ages)
	opt.CategoryAxis.LabelFontStyle = charts.FontStyle{FontSize: 13, FontColor: ink}
	highest := most(ages)
	opt.ValueAxis = counts(highest + highest/10 + 1) // its number stands above it, and below the legend
	return opt
}

func unlessZero(n float64) string {
	if n == 0 {
		return ""
	}
	return whole(n)
}

func whole(n float64) string { return strconv.Itoa(int(math.Round(n))) }

// kindOf tells what a band means: 0 in time, 1 soon too old, 2 too old.
func kindOf(band int) int {
	const warns, ends = 3, 4 // the third bound is the warning age, the fourth the maximum
	switch {
	case band < warns:
		return 0
	case band < ends:
		return 1
	}
	return 2
}

func bandNames(bounds []int) []string {
	names := []string{"0–" + strconv.Itoa(bounds[0]-1)}
	for i, b := range bounds[:len(bounds)-1] {
		names = append(names, strconv.Itoa(b)+"–"+strconv.Itoa(bounds[i+1]-1))
	}
	return append(names, strconv.Itoa(bounds[len(bounds)-1])+"+")
}

func trend(weeks []Week) charts.LineChartOption {
	weeks = weeks[max(0, len(weeks)-Trend):]
	lines := [][]float64{{}, {}}
	var names []string
	top := 0
	for _, w := range weeks {
		due, old := charts.GetNullValue(), charts.GetNullValue()
		if w.Whole {
			due, old, top = float64(w.Due), float64(w.TooOld), max(top, w.Due)
		}
		lines[0], lines[1] = append(lines[0], due), append(lines[1], old)
		names = append(names, shortWeek(w.Name))
	}
	opt := charts.NewLineChartOptionWithData(lines)
	opt.Theme = look.WithSeriesColors([]charts.Color{due, tooOld})
	opt.Title = title("Keys that needed attention, by week")
	opt.Legend = legend("Need attention", "Too old")
	opt.XAxis.Labels = names
	opt.XAxis.LabelCount = len(names)
	opt.XAxis.LabelFontStyle = charts.FontStyle{FontSize: 13, FontColor: ink}
	opt.YAxis = counts(top)
	opt.LineStrokeWidth = 3
	opt.Symbol = charts.Symbol{Shape: charts.SymbolDot, Size: 4}
	return opt
}

// shortWeek is W48 for 2026-W48.
func shortWeek(name string) string {
	if len(name) > 5 {
		return name[5:]
	}
	return name
}

func title(text string) charts.TitleOption {
	return charts.TitleOption{Text: text, FontStyle: charts.FontStyle{FontSize: 17, FontColor: ink}}
}

func legend(names ...string) charts.LegendOption {
	return charts.LegendOption{
		SeriesNames: names, FontStyle: charts.FontStyle{FontSize: 13, FontColor: ink},
		Offset: charts.OffsetStr{Left: charts.PositionLeft, Top: "36"},
	}
}

// counts is an axis from zero in whole numbers.
func counts(top int) []charts.ValueAxisOption {
	return []charts.ValueAxisOption{{
		Min: new(0.0), Max: new(float64(roundUp(top))), LabelCount: 5,
		LabelFontStyle: charts.FontStyle{FontSize: 13, FontColor: ink},
		ValueFormatter: whole,
	}}
}

// roundUp is the next number of one digit and zeros that four divides.
func roundUp(n int) int {
	step := 4
	for ; step*10 < n; step *= 10 {
	}
	return max(4, (n+step-1)/step*step)
}

func most(ages []int) int {
	top := 0
	for _, n := range ages {
		top = max(top, n)
	}
	return top
}

// Alt says what Picture shows to who cannot see it.
func Alt(ages []int, bounds []int, weeks []Week) string {
	var bands, told []string
	for i, name := range bandNames(bounds) {
		bands = append(bands, name+": "+strconv.Itoa(ages[i]))
	}
	for _, w := range weeks[max(0, len(weeks)-Trend):] {
		said := "not known"
		if w.Whole {
			said = strconv.Itoa(w.Due) + ", " + strconv.Itoa(w.TooOld) + " of them too old"
		}
		told = append(told, shortWeek(w.Name)+": "+said)
	}
	text := "Active keys by age in days: " + strings.Join(bands, "; ") + "."
	if len(told) > 0 {
		text += " Keys that needed attention, by week: " + strings.Join(told, "; ") + "."
	}
	return text
}

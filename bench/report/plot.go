package report

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The size of a plot in SVG units; the page scales it.
const (
	plotWidth, plotHeight           = 900, 260
	plotLeft, plotRight             = 90, 20
	plotTop, plotBottom             = 34, 34
	plotPointsMax                   = 600 // of a line; beyond it points are merged, the largest stays
	gridLinesWanted                 = 5
	decade                          = 10
	innerWidth, innerHeight float64 = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
)

// plot is one picture of lines over time, drawn as SVG by hand so that a page needs
// nothing from outside.
type plot struct {
	title string
	log   bool                 // logarithmic: latencies span decades
	text  func(float64) string // of a value
	lines []line
	bands []band
	width time.Duration // of the time axis; 0: of the lines
}

// line is one measured value over time; NaN is a gap.
type line struct {
	name   string
	color  string
	at     []time.Duration
	values []float64
}

// band is a stretch of time with a name: a phase.
type band struct {
	name     string
	from, to time.Duration
}

// palette is the colours of lines, told apart in grey too.
var palette = []string{"#1b6ca8", "#e07b00", "#b3202c", "#5a2d82", "#3c8d40"}

func (l *line) add(at time.Duration, value float64) {
	l.at = append(l.at, at)
	l.values = append(l.values, value)
}

// thin merges neighbours until there are few enough; a peak is what must not be lost.
func (l line) thin() line {
	step := (len(l.at) + plotPointsMax - 1) / plotPointsMax
	if step <= 1 {
		return l
	}
	out := line{name: l.name, color: l.color}
	for i := 0; i < len(l.at); i += step {
		top := math.NaN()
		for _, v := range l.values[i:min(i+step, len(l.values))] {
			if !math.IsNaN(v) && (math.IsNaN(top) || v > top) {
				top = v
			}
		}
		out.add(l.at[i], top)
	}
	return out
}

// scale maps values to heights.
type scale struct {
	low, high float64
	log       bool
	ticks     []float64
}

func (p plot) scale() (s scale, end time.Duration, ok bool) {
	s = scale{log: p.log, low: math.Inf(1), high: math.Inf(-1)}
	end = p.width
	for _, l := range p.lines {
		for i, v := range l.values {
			end = max(end, l.at[i])
			if math.IsNaN(v) || (p.log && v <= 0) {
				continue
			}
			s.low, s.high, ok = min(s.low, v), max(s.high, v), true
		}
	}
	if !ok || end == 0 {
		return s, end, false
	}
	if p.log {
		s.low = math.Pow(decade, math.Floor(math.Log10(s.low)))
		s.high = math.Pow(decade, math.Ceil(math.Log10(s.high*1.0001)))
		for t := s.low; t <= s.high*1.0001; t *= decade {
			s.ticks = append(s.ticks, t)
		}
		return s, end, true
	}
	s.low = 0
	step := niceStep(s.high / gridLinesWanted)
	s.high = max(math.Ceil(s.high/step), 1) * step
	for t := 0.0; t <= s.high*1.0001; t += step {
		s.ticks = append(s.ticks, t)
	}
	return s, end, true
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(least float64) float64 {
	if least <= 0 {
		return 1
	}
	power := math.Pow(decade, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least {
			return m * power
		}
	}
	return decade * power
}

func (s scale) y(v float64) float64 {
	share := (v - s.low) / (s.high - s.low)
	if s.log {
		share = (math.Log10(max(v, s.low)) - math.Log10(s.low)) / (math.Log10(s.high) - math.Log10(s.low))
	}
	return plotTop + innerHeight*(1-share)
}

// svg draws the plot; empty when there is nothing to draw.
func (p plot) svg() string {
	s, end, ok := p.scale()
	if !ok {
		return ""
	}
	x := func(at time.Duration) float64 { return plotLeft + innerWidth*at.Seconds()/end.Seconds() }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(p.title))
	fmt.Fprintf(&b, `<text class="title" x="%d" y="18">%s</text>`, plotLeft, html.EscapeString(p.title))
	for i, band := range p.bands {
		fmt.Fprintf(&b, `<rect class="band%d" x="%.1f" y="%d" width="%.1f" height="%.0f"><title>%s</title></rect>`,
			i%2, x(band.from), plotTop, max(x(band.to)-x(band.from), 0.5), innerHeight, html.EscapeString(band.name))
		if x(band.to)-x(band.from) > 40 {
			fmt.Fprintf(&b, `<text class="phase" x="%.1f" y="%d">%s</text>`, x(band.from)+4, plotTop+12, html.EscapeString(band.name))
		}
	}
	for _, t := range s.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="tick" x="%d" y="%.1f">%s</text>`,
			plotLeft, plotWidth-plotRight, s.y(t), s.y(t), plotLeft-6, s.y(t)+4, html.EscapeString(p.text(t)))
	}
	step := niceStep(end.Seconds() / gridLinesWanted)
	for t := 0.0; t <= end.Seconds(); t += step {
		at := time.Duration(t * float64(time.Second))
		fmt.Fprintf(&b, `<text class="time" x="%.1f" y="%d">%g s</text>`, x(at), plotHeight-12, t)
	}
	legend := plotWidth - plotRight
	for i := len(p.lines) - 1; i >= 0; i-- {
		legend -= 22 + 8*len([]rune(p.lines[i].name))
		fmt.Fprintf(&b, `<text class="legend" x="%d" y="18" fill="%s">&#9632; %s</text>`, legend, p.lines[i].color, html.EscapeString(p.lines[i].name))
	}
	for _, l := range p.lines {
		b.WriteString(l.thin().path(x, s))
	}
	b.WriteString("</svg>")
	return b.String()
}

// path draws one line, with gaps, and a dot where a value stands alone.
func (l line) path(x func(time.Duration) float64, s scale) string {
	var b, dots strings.Builder
	pen := false
	for i, v := range l.values {
		if math.IsNaN(v) || (s.log && v <= 0) {
			pen = false
			continue
		}
		command := "L"
		if !pen {
			command = "M"
			if i+1 == len(l.values) || math.IsNaN(l.values[i+1]) {
				fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`, x(l.at[i]), s.y(v), l.color)
			}
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, x(l.at[i]), s.y(v))
		pen = true
	}
	return fmt.Sprintf(`<path d="%s" stroke="%s"/>%s`, b.String(), l.color, dots.String())
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"mirrorscope/edge/live"
)

// topModel is the screen of `sensor top`: the latest of what a feed tells, in the
// order, with the filter and from the row on that the user has chosen.
type topModel struct {
	ctx    context.Context
	o      *topOptions
	feed   topFeed // nil while it is opened anew
	view   topView
	height int

	top    *live.Top // shown; nil before the first
	came   time.Time // when
	newer  *live.Top // while paused: what will be shown
	paused bool
	typing bool // a filter
	before string
	first  int // of the rows shown
	now    time.Time
	err    error // of the feed; nil: it goes well
	ended  error // … which ends the program
}

// What happens beside keys.
type (
	topCame   struct{ top *live.Top }
	topFailed struct{ err error }
	topOpened struct{ feed topFeed }
	topClock  time.Time
)

// reopenAfter is how long a feed that has ended is left alone.
const reopenAfter = 2 * time.Second

func newTopModel(ctx context.Context, o *topOptions, feed topFeed, colour bool) *topModel {
	return &topModel{ctx: ctx, o: o, feed: feed, view: topView{order: o.order, text: o.filter, width: 80, paint: painter(colour)}, height: 24}
}

// Init begins to read the feed, and to look at the clock.
func (m *topModel) Init() tea.Cmd { return tea.Batch(m.next(), tick()) }

// next waits for what the feed tells next.
func (m *topModel) next() tea.Cmd {
	feed := m.feed
	return func() tea.Msg {
		t, err := feed.Next()
		if err != nil {
			return topFailed{err}
		}
		return topCame{t}
	}
}

// reopen tries to get a feed again.
func (m *topModel) reopen() tea.Cmd {
	return tea.Tick(reopenAfter, func(time.Time) tea.Msg {
		feed, err := m.o.open(m.ctx)
		if err != nil {
			return topFailed{err}
		}
		return topOpened{feed}
	})
}

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(now time.Time) tea.Msg { return topClock(now) })
}

// Update takes what has happened.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.view.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case topClock:
		m.now = time.Time(msg)
		return m, tick()
	case topCame:
		m.err = nil
		m.came = m.now
		if m.paused {
			m.newer = msg.top
		} else {
			m.top = msg.top
		}
		return m, m.next()
	case topOpened:
		m.feed = msg.feed
		return m, m.next()
	case topFailed:
		m.err = msg.err
		if m.feed != nil {
			_ = m.feed.Close() // it has ended
			m.feed = nil
		}
		if m.o.itself {
			m.ended = msg.err
			return m, tea.Quit
		}
		return m, m.reopen()
	}
	return m, nil
}

// key takes a key.
func (m *topModel) key(k tea.KeyPressMsg) tea.Cmd {
	if m.typing {
		m.edit(k)
		return nil
	}
	page := max(m.room()-1, 1)
	switch k.String() {
	case "q", "ctrl+c":
		return tea.Quit
	case "esc":
		m.view.text = ""
	case "s", "right":
		m.sort(1)
	case "S", "shift+s", "left":
		m.sort(-1)
	case "space", "p":
		m.paused = !m.paused
		if m.newer != nil {
			m.top, m.newer = m.newer, nil
		}
	case "/":
		m.typing, m.before = true, m.view.text
	case "up", "k":
		m.first--
	case "down", "j":
		m.first++
	case "pgup":
		m.first -= page
	case "pgdown":
		m.first += page
	case "home", "g":
		m.first = 0
	case "end", "G", "shift+g":
		m.first = 1 << 30
	}
	m.scroll()
	return nil
}

// edit takes a key of a filter that is typed.
func (m *topModel) edit(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		m.typing = false
	case "esc", "ctrl+c":
		m.typing, m.view.text = false, m.before
	case "backspace":
		if text := []rune(m.view.text); len(text) > 0 {
			m.view.text = string(text[:len(text)-1])
		}
	case "ctrl+u":
		m.view.text = ""
	default:
		m.view.text += printable(k.Text)
	}
	m.first = 0
}

// sort goes to another order.
func (m *topModel) sort(by int) {
	orders := live.Orders()
	for i, o := range orders {
		if o == m.view.order {
			m.view.order = orders[(i+by+len(orders))%len(orders)]
			break
		}
	}
	m.first = 0
}

// scroll keeps the first row where there is one.
func (m *topModel) scroll() {
	n := 0
	if m.top != nil {
		n = len(m.view.rows(m.top))
	}
	m.first = max(min(m.first, n-m.room()), 0)
}

// room is how many rows the screen has.
func (m *topModel) room() int { return max(m.height-linesAround, 1) }

// linesAround are those above and below the rows: two of the head, the titles, and
// the keys.
const linesAround = 4

// View draws the screen.
func (m *topModel) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "sensor top"
	return v
}

func (m *topModel) lines() []string {
	var lines []string
	if m.top == nil {
		what := "waiting for the first interval"
		if m.err != nil {
			what = m.trouble()
		}
		lines = []string{m.view.cut("sensor top: " + what)}
	} else {
		lines = m.view.head(m.top)
		if note := m.note(); note != "" {
			lines[0] = m.view.cut(m.view.paint.bad(note) + "  " + lines[0])
		}
		rows := m.view.rows(m.top)
		m.scroll()
		lines = append(lines, m.view.table(m.top, rows[m.first:min(len(rows), m.first+m.room())])...)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:max(m.height-1, 0)], m.help())
	return lines
}

// staleAfter is how many intervals may pass without news.
const staleAfter = 3

// note is what a user must know before looking at the figures; "" is nothing.
func (m *topModel) note() string {
	switch {
	case m.err != nil:
		return m.trouble() + "; the figures are of " + clockOf(m.top)
	case m.paused:
		return "PAUSED at " + clockOf(m.top) + "; space goes on"
	}
	interval := time.Duration(m.top.Interval)
	if age := m.now.Sub(m.came); !m.came.IsZero() && interval > 0 && age > staleAfter*interval {
		return fmt.Sprintf("NO NEWS for %d s; the figures are of %s", int(age.Seconds()), clockOf(m.top))
	}
	return ""
}

func (m *topModel) trouble() string {
	if errors.Is(m.err, io.EOF) {
		return "THE SENSOR HAS ENDED, waiting for it"
	}
	return "NO CONNECTION: " + printable(m.err.Error())
}

// help is the last line.
func (m *topModel) help() string {
	if m.typing {
		return m.view.cut("filter: " + printable(m.view.text) + "▏ (enter: done, esc: as before)")
	}
	return m.view.cut(m.view.paint.dim("q quit  s/S order  / filter  space pause  ↑↓ scroll"))
}

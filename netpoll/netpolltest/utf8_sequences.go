package netpolltest

import "unicode/utf8"

// utf8Sequences is Markus Kuhn's decoder stress test as Autobahn numbers it
// (6.5 to 6.23). Whether a sequence is valid is not written down: it is what
// unicode/utf8 says, which a test compares with RFC 3629's table.
var utf8Sequences = []struct {
	number    int
	name      string
	sequences []string
}{
	{5, "valid sequences", []string{"hello$world", "hello\u00a2world", "hello\u20acworld", "hello\U00024b62world", greek}},
	{6, "prefixes of valid text", prefixes(greek)},
	{7, "first sequence of a length", []string{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
	{8, "first sequence of 5 and 6 bytes", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
	{9, "last sequence of a length", []string{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
	{10, "last sequence of 4, 5 and 6 bytes", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
	{11, "other boundaries", []string{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"}},
	{12, "unexpected continuation bytes", []string{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80",
		"\x80\xbf\x80\xbf\x80\xbf", span(0x80, 0xbf, "")}},
	{13, "lonely start bytes", []string{span(0xc0, 0xdf, " "), span(0xe0, 0xef, " "), span(0xf0, 0xf7, " "), span(0xf8, 0xfb, " "), span(0xfc, 0xfd, " ")}},
	{14, "last continuation byte missing", lastMissing},
	{15, "incomplete sequences in a row", []string{concat(lastMissing)}},
	{16, "impossible bytes", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
	{17, "overlong ASCII", []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
	{18, "longest overlong sequences", []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
	{19, "overlong NUL", []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
	{20, "single surrogates", []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"}},
	{21, "paired surrogates", []string{"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
		"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"}},
	{22, "non-characters, which are valid", nonCharacters()},
	{23, "specials, which are valid", []string{"\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"}},
}

// lastMissing is 6.14: sequences of 2 to 6 bytes without their last byte.
var lastMissing = []string{
	"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
	"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
}

func prefixes(s string) (all []string) {
	for i := range len(s) {
		all = append(all, s[:i+1])
	}
	return all
}

func span(first, last byte, after string) (s string) {
	for b := int(first); b <= int(last); b++ {
		s += string([]byte{byte(b)}) + after
	}
	return s
}

func concat(all []string) (s string) {
	for _, one := range all {
		s += one
	}
	return s
}

// nonCharacters is U+FFFE and U+FFFF of each of the 17 planes.
func nonCharacters() (all []string) {
	for plane := rune(0); plane <= 16; plane++ {
		for _, low := range []rune{0xFFFE, 0xFFFF} {
			all = append(all, string(utf8.AppendRune(nil, plane<<16|low)))
		}
	}
	return all
}

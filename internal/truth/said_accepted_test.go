package truth

var saidCases = []saidCase{}

var saidResults = []fieldCounts{}

package command

// What the rows of searches share.
const (
	geoUnit       = "unit(M|KM|FT|MI)"
	geoWith       = " WITHCOORD? WITHDIST? WITHHASH?"
	geoCount      = " count?(count:integer=COUNT ANY?)"
	geoCountSince = " count?(count:integer=COUNT ANY?@6.2.0)"
	geoOrder      = " order?(ASC|DESC)"
	geoStore      = " key:key#1=STORE? key:key#2=STOREDIST?"
	geoFromBy     = "from(member=FROMMEMBER|longitude_latitude:block=FROMLONLAT(longitude:double latitude:double)) " +
		"by(circle(radius:double=BYRADIUS " + geoUnit + ")|box(width:double=BYBOX height:double " + geoUnit + "))"

	radiusComplexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area " +
		"delimited by center and radius and M is the number of items inside the index."
	searchComplexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around " +
		"the shape provided as the filter and M is the number of items inside the shape"
)

// geoRows are the commands of positions.
func geoRows() []*Row {
	rows := geoMemberRows()
	rows = append(rows, geoRadiusRows()...)
	return append(rows, geoSearchRows()...)
}

func geoMemberRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "geoadd", Arity: -5, Flags: Write | DenyOOM, Categories: CatGeo, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "geo", Since: "3.2.0",
			Summary:    "Add one or more geospatial items in the geospatial index represented using a sorted set",
			Complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
			History:    []Change{{"6.2.0", "Added the `CH`, `NX` and `XX` options."}},
			Args: "key condition?@6.2.0(NX|XX) change:pure-token=CH?@6.2.0 " +
				"longitude_latitude_member*(longitude:double latitude:double member)",
		}, Member: 4, Run: cmdGeoAdd},
		{Info: Info{
			Name: "geodist", Arity: -4, Flags: ReadOnly, Categories: CatGeo, Keys: OneKey(KeyRO | KeyAccess),
			Group: "geo", Since: "3.2.0", Summary: "Returns the distance between two members of a geospatial index",
			Complexity: "O(log(N))", Args: "key member1 member2 unit?(M|KM|FT|MI)",
		}, Member: 2, Members: 2, Run: cmdGeoDist},
		{Info: Info{
			Name: "geohash", Arity: -2, Flags: ReadOnly, Categories: CatGeo, Keys: OneKey(KeyRO | KeyAccess),
			Group: "geo", Since: "3.2.0",
			Summary: "Returns members of a geospatial index as standard geohash strings",
			Complexity: "O(log(N)) for each member requested, where N is the number of elements in the sorted " +
				"set.",
			Args: "key member*",
		}, Member: 2, Run: cmdGeoHash},
		{Info: Info{
			Name: "geopos", Arity: -2, Flags: ReadOnly, Categories: CatGeo, Keys: OneKey(KeyRO | KeyAccess),
			Group: "geo", Since: "3.2.0",
			Summary:    "Returns longitude and latitude of members of a geospatial index",
			Complexity: "O(N) where N is the number of members requested.", Args: "key member*",
		}, Member: 2, Run: cmdGeoPos},
	}
}

func geoRadiusRows() []*Row {
	const (
		point, member = "key longitude:double latitude:double radius:double ", "key member radius:double "
		summary       = "Query a sorted set representing a geospatial index to fetch members matching a given " +
			"maximum distance from a "
	)
	stores := func(from int) []KeySpec {
		return []KeySpec{
			{First: 1, Step: 1, Flags: KeyRO | KeyAccess},
			{First: from, Step: 1, Keyword: "STORE", Find: findGeoStore("store", from), Flags: KeyOW | KeyUpdate},
			{First: from, Step: 1, Keyword: "STOREDIST", Find: findGeoStore("storedist", from),
				Flags: KeyOW | KeyUpdate},
		}
	}
	anyChange := Change{"6.2.0", "Added the `ANY` option for `COUNT`."}
	unitChange := Change{"7.0.0", "Added support for uppercase unit names."}
	return []*Row{
		{Info: Info{
			Name: "georadius", Arity: -6, Flags: Write | DenyOOM | MovableKeys, Categories: CatGeo, Keys: stores(6),
			Group: "geo", Since: "3.2.0", Summary: summary + "point", Complexity: radiusComplexity,
			DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
			History: []Change{anyChange, unitChange},
			Args:    point + geoUnit + geoWith + geoCountSince + geoOrder + geoStore,
		}, Run: cmdGeoRadius},
		{Info: Info{
			Name: "georadius_ro", Arity: -6, Flags: ReadOnly, Categories: CatGeo, Keys: OneKey(KeyRO | KeyAccess),
			Group: "geo", Since: "3.2.10", Summary: "A read-only variant for GEORADIUS", Complexity: radiusComplexity,
			DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` argument",
			History: []Change{anyChange}, Args: point + geoUnit + geoWith + geoCountSince + geoOrder,
		}, Run: cmdGeoRadiusRO},
		{Info: Info{
			Name: "georadiusbymember", Arity: -5, Flags: Write | DenyOOM | MovableKeys, Categories: CatGeo,
			Keys:  stores(5),
			Group: "geo", Since: "3.2.0", Summary: summary + "member", Complexity: radiusComplexity,
			DeprecatedSince: "6.2.0",
			ReplacedBy:      "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
			History:         []Change{unitChange},
			Args:            member + geoUnit + geoWith + geoCount + geoOrder + geoStore,
		}, Run: cmdGeoRadiusByMember},
		{Info: Info{
			Name: "georadiusbymember_ro", Arity: -5, Flags: ReadOnly, Categories: CatGeo,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "geo", Since: "3.2.10", Summary: "A read-only variant for GEORADIUSBYMEMBER",
			Complexity: radiusComplexity, DeprecatedSince: "6.2.0",
			ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
			Args:       member + geoUnit + geoWith + geoCount + geoOrder,
		}, Run: cmdGeoRadiusByMemberRO},
	}
}

func geoSearchRows() []*Row {
	const summary = "Query a sorted set representing a geospatial index to fetch members inside an area of a box or " +
		"a circle"
	unitChange := []Change{{"7.0.0", "Added support for uppercase unit names."}}
	return []*Row{
		{Info: Info{
			Name: "geosearch", Arity: -7, Flags: ReadOnly, Categories: CatGeo, Keys: OneKey(KeyRO | KeyAccess),
			Group: "geo", Since: "6.2.0", Summary: summary + ".", Complexity: searchComplexity, History: unitChange,
			Args: "key " + geoFromBy + geoOrder + geoCount + geoWith,
		}, Run: cmdGeoSearch},
		{Info: Info{
			Name: "geosearchstore", Arity: -8, Flags: Write | DenyOOM, Categories: CatGeo,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyOW | KeyUpdate}, {First: 2, Step: 1, Flags: KeyRO | KeyAccess},
			},
			Group: "geo", Since: "6.2.0", Summary: summary + ", and store the result in another key.",
			Complexity: searchComplexity, History: unitChange,
			Args: "destination:key#0 source:key#1 " + geoFromBy + geoOrder + geoCount + " STOREDIST?",
		}, Run: cmdGeoSearchStore},
	}
}

// findGeoStore returns what finds the destination of GEORADIUS and its kin, whose options begin at some argument, if
// that is named by the given word: the last one counts.
func findGeoStore(word string, from int) func(dst []int, args [][]byte) []int {
	return func(dst []int, args [][]byte) []int {
		at := 0
		for i := from; i+1 < len(args); i++ {
			option := cString(args[i])
			if equalFold(option, word) {
				at = i + 1
			}
			if equalFold(option, "store") || equalFold(option, "storedist") {
				i++
			}
		}
		if at > 0 {
			dst = append(dst, at)
		}
		return dst
	}
}

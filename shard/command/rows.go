package command

// Rows returns the commands of this package, family by family.
func Rows() []*Row {
	var all []*Row
	for _, family := range [][]*Row{
		stringRows(), multiStringRows(), numericRows(), rangeRows(), compareRows(), takeRows(),
		bitRows(), bitfieldRows(), lcsRows(), hllRows(),
		listRows(), listEditRows(), listMoveRows(),
		hashRows(), hashReadRows(), hashExpireRows(), hashExRows(),
		zsetRows(), geoRows(),
		streamRows(), streamGroupRows(), streamInfoRows(),
		memberRows(), memberReadRows(), algebraRows(),
		keyRows(), moveRows(), dumpRows(), objectRows(), expireRows(), ttlRows(), scanRows(), flushRows(),
		sortRows(), commandRows(),
	} {
		all = append(all, family...)
	}
	return append(all, blockingRows(all)...)
}

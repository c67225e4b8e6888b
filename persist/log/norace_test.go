//go:build !race

package log

// share is by how much long tests are made smaller under the race detector.
const share = 1

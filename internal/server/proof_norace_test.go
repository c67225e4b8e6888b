//go:build !race

package server

// proofShare is by how much proofs are made smaller under the race detector.
const proofShare = 1

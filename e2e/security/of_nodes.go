// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// What the nodes of a run over several tell each other.
const (
	lineStranger   = "A stranger on the launch port"
	lineMiddle     = "He listens, changes what is said"
	lineFlood      = "He opens connections without end"
	lineNodeRecord = "A node's record is read by others"
	lineNodeEnv    = "What the MPI launcher sends to the other nodes is listened to"
	lineNodeWords  = "A deck has the solver print the words of a leading node"
	lineNodeFolder = "The folder of the nodes' records is put there by others"
)

var ofNodes = []removal{
	{
		lineStranger, "whoever connects is taken", []string{"TestConnection_NeitherEndTakesAStranger", "TestDaemon_RefusesStrangersAndSaysSo"}, []mutant.Edit{
			mutant.Never("wire.demand", "!hmac.Equal(got[:], want[:])"),
		},
	},
	{
		lineStranger, "the accepting end proves nothing", []string{"TestConnection_AFalseMemberIsRefused"}, []mutant.Edit{
			mutant.Never("wire.demand", "!hmac.Equal(got[:], want[:])"),
		},
	},
	{
		lineStranger, "anything is executed before there is a leader", []string{"TestDaemon_ExecutesNothingWithoutALeader"}, []mutant.Edit{
			mutant.Never("(*Daemon).execute", "!d.HasLeader()"),
		},
	},
	{
		lineStranger, "a second leader is taken", []string{"TestDaemon_HasOneLeader"}, []mutant.Edit{
			mutant.Never("(*Daemon).join", "was != nil"),
		},
	},
	{
		lineMiddle, "a proof holds in every connection", []string{"TestConnection_AStrangerInTheMiddleIsRefused", "TestConnection_AReplayedHelloIsRefused"}, []mutant.Edit{
			mutant.After("wire.prove", "key, err := state.ExportKeyingMaterial(exporter, nil, sha256.Size)", "key = make([]byte, sha256.Size)"),
		},
	},
	{
		lineFlood, "any number of connections wait", []string{"TestDaemon_AFloodIsBounded"}, []mutant.Edit{
			mutant.Replace("daemon.New", "make(chan struct{}, maxUnproved)", "make(chan struct{}, 100*maxUnproved)"),
		},
	},
	{
		lineFlood, "a message has any length", []string{"TestConn_ReceiveBounds"}, []mutant.Edit{
			mutant.Never("(*Conn).Receive", "n > MaxMessage"),
		},
	},
	{
		lineNodeRecord, "others may read it", []string{"TestRead_RefusesWhatIsNoRecord"}, []mutant.Edit{
			mutant.Never("member.Read", "err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0"),
		},
	},
	{
		lineNodeRecord, "it may be another's", []string{"TestRead_RefusesWhatIsNoRecord"}, []mutant.Edit{
			mutant.Never("member.Read", "err == nil && (r.Index != index || r.Run != run)"),
		},
	},
	{
		lineNodeFolder, "it may be a link", []string{"TestFolder_OfOthersIsRefused", "TestFolderOfOthers_IsRefused"}, []mutant.Edit{
			mutant.Never("member.CheckFolder", "info.Mode()&fs.ModeSymlink != 0"),
			mutant.Never("member.CheckFolder", "!info.IsDir()"),
			mutant.Never("member.CheckFolder", "info.Mode().Perm()&0o022 != 0"),
		},
	},
	{
		lineNodeFolder, "others may write in it", []string{"TestFolder_OfOthersIsRefused"}, []mutant.Edit{
			mutant.Never("member.CheckFolder", "info.Mode().Perm()&0o022 != 0"),
		},
	},
	{
		lineNodeFolder, "it may be anybody's", []string{"TestFolder_OfOthersIsRefused"}, []mutant.Edit{
			mutant.Never("member.CheckFolder", "!isOwn(runFolder, info)"),
		},
	},
	{
		lineNodeEnv, "it gets all of the environment", []string{"TestCommand_HydraKnowsNoLicenceServer"}, []mutant.Edit{
			mutant.Never("(*leader).command", "l.environment() != rank.NoLeader"),
		},
	},
	{
		lineNodeEnv, "licence servers are told", []string{"TestPlain_TellsNothingOfLicences"}, []mutant.Edit{
			mutant.Replace("rank.Plain", "name == allowed", "true"),
		},
	},
	{
		lineNodeWords, "any mark is taken", []string{"TestReader_takesNoLineOfADeckForTheLeadingNodes"}, []mutant.Edit{
			mutant.Never("(*Reader).nodes", "string(mark) != r.nodesMark"),
		},
	},
	{
		lineNodeWords, "a mark is taken at any time", []string{"TestReader_takesNoLineOfADeckForTheLeadingNodes"}, []mutant.Edit{
			mutant.Always("(*Reader).nodes", "r.nodesMark == \"\" && r.facts.Runs == 0"),
		},
	},
	{
		lineNodeWords, "other files tell of nodes", []string{"TestReader_takesNoLineOfADeckForTheLeadingNodes"}, []mutant.Edit{
			mutant.Always("output.Combine", "all[i].Kind == lsdyna.KindStdout"),
		},
	},
}

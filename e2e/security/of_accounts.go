// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/mutant"

// Who the users are, by files and by a directory.
const (
	lineMember      = "A job takes a group that its user is not in"
	lineDirGroups   = "Groups of the directory"
	lineOptions     = "A job's user or group is an option of `getent`"
	lineEntries     = "An entry's id leaves root's rights where they are"
	lineGetentEnv   = "The agent's environment acts in `getent`"
	lineHangs       = "A directory hangs"
	lineDefaultUser = "Submitters who do not trust each other"
)

var ofAccounts = []removal{
	{
		lineMember, "any group is the user's", []string{"TestTaskUser_OfTheGroupThatTheJobNames", "TestStart_GroupOfOthersIsRefused"}, []mutant.Edit{
			mutant.Never("node.groupOf", "found.UID != 0 && gid != found.GID && !slices.Contains(found.Groups, gid)"),
		},
	},
	{
		lineDirGroups, "the directory is not asked for groups",
		[]string{"TestGroups_AreTheDirectorysForEveryUser", "TestStart_GroupsOfTheDirectoryAreDenied", "TestDriver_UsersOfTheDirectoryAreHeldToTheNodesRules"},
		[]mutant.Edit{
			mutant.Never("(*Accounts).Groups", "!errors.Is(err, errNoProgram)"),
		},
	},
	{
		lineDirGroups, "without an answer there are no groups", []string{"TestGroups_AreNeverLeftOut", "TestTaskUser_WaitsForTheDirectory"}, []mutant.Edit{
			mutant.Replace("(*Accounts).Groups", "return r.groups, err", "return r.groups, nil"),
			mutant.Never("(*UserPolicy).find", "if found.Groups, err = n.groups(ctx, account); err != nil"),
		},
	},
	{
		lineOptions, "any name is asked for", []string{"TestUser_OddNamesAreNotAskedFor"}, []mutant.Edit{
			mutant.Begin("isName", `return name != ""`),
		},
	},
	{
		lineOptions, "numbers are asked for as they are", []string{"TestUser_OddNamesAreNotAskedFor"}, []mutant.Edit{
			mutant.Never("(*Accounts).User", "isNumber(name)"),
		},
	},
	{
		lineOptions, "the answer may be about anybody", []string{"TestUser_TheAnswerIsAboutTheUID"}, []mutant.Edit{
			mutant.Never("question.parse", "err == nil && isNumber(q.key) && _"),
		},
	},
	{
		lineEntries, "ids are taken as they come", []string{"TestUser_AnswersThatAreNone", "TestUser_OfAFileWithAnOddID"}, []mutant.Edit{
			mutant.Never("parseID", "err != nil || !isNumber(text) || id == unchanged"),
		},
	},
	{
		lineEntries, "names are taken as they come", []string{"TestUser_AnswersThatAreNone"}, []mutant.Edit{
			mutant.Never("parseUser", "!isName(u.Name) || isNumber(u.Name)"),
		},
	},
	{
		lineGetentEnv, "they have the agent's", []string{"TestAsk_TheProgramHasAnEnvironmentOfItsOwn"}, []mutant.Edit{
			mutant.Drop("(*Accounts).run", "cmd.Env = _"),
		},
	},
	{
		lineHangs, "questions have no end", []string{"TestAsk_ADirectoryThatHangsHasItsTime"}, []mutant.Edit{
			mutant.Replace("(*Accounts).await", "context.WithTimeout(a.ctx, a.patience)", "context.WithCancel(a.ctx)"),
			mutant.SetArg("(*Accounts).ask", "time.NewTimer", 0, "time.Hour"),
		},
	},
	{
		lineHangs, "one question at a time", []string{"TestAsk_NobodyWaitsForAnothersQuestion", "TestStart_ADirectoryThatHangsHoldsUpNobodyElse"}, []mutant.Edit{
			mutant.Begin("(*Accounts).ask", "oneQuestion.Lock()\ndefer oneQuestion.Unlock()"),
			mutant.Declare("(*Accounts).ask", "var oneQuestion sync.Mutex"),
		},
	},
	{
		lineHangs, "as many programs as there are questions", []string{"TestAsk_RunsABoundedNumberOfPrograms"}, []mutant.Edit{
			mutant.Never("(*Accounts).begin", "a.asking >= maxAsking"),
		},
	},
	{
		lineHangs, "all of the output is kept", []string{"TestUser_AnswersThatAreNone"}, []mutant.Edit{
			mutant.Replace("(*head).Write", "min(len(p), h.limit-len(h.data))", "len(p)"),
		},
	},
	{
		lineDefaultUser, "jobs need not name their user", []string{"TestTaskUser_IsToBeNamedWhereTheNodeSaysSo"}, []mutant.Edit{
			mutant.Never("(*UserPolicy).find", `name == "" && u.RequireUser`),
		},
	},
}

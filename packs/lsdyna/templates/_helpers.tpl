[[- define "job_name" -]]
[[ if eq (var "job_name" .) "" ]][[ meta "pack.name" . | quote ]][[ else ]][[ var "job_name" . | quote ]][[ end ]]
[[- end -]]

[[- define "strings" -]]
[ [[- range $i, $s := . ]][[ if $i ]], [[ end ]][[ $s | quote ]][[ end -]] ]
[[- end -]]

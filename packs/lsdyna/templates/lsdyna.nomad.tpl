job [[ template "job_name" . ]] {
  type        = "batch"
  datacenters = [[ template "strings" (var "datacenters" .) ]]
  priority    = [[ var "priority" . ]]
  [[- if var "region" . ]]
  region      = [[ var "region" . | quote ]]
  [[- end ]]
  [[- if var "namespace" . ]]
  namespace   = [[ var "namespace" . | quote ]]
  [[- end ]]
  [[- if var "node_pool" . ]]
  node_pool   = [[ var "node_pool" . | quote ]]
  [[- end ]]
  [[- range $c := var "constraints" . ]]

  constraint {
    attribute = [[ $c.attribute | quote ]]
    operator  = [[ $c.operator | quote ]]
    value     = [[ $c.value | quote ]]
  }
  [[- end ]]

  group "run" {
    [[- if ne (var "nodes" . | int) 1 ]]
    count = [[ var "nodes" . ]]

    constraint {
      distinct_hosts = true
    }

    network {
      port "launch" {}
    }
    [[- end ]]

    restart {
      attempts = [[ var "attempts" . ]]
      interval = "24h"
      delay    = "30s"
      mode     = "fail"
    }

    # Time to mend a deck; then `nomad job eval -force-reschedule JOB` starts it at once.
    reschedule {
      attempts       = 1
      interval       = "48h"
      delay          = "24h"
      delay_function = "constant"
      unlimited      = false
    }

    task "lsdyna" {
      driver = "lsdyna"
      [[- if var "user" . ]]
      user   = [[ var "user" . | quote ]]
      [[- end ]]

      config {
        solver   = [[ var "solver" . | quote ]]
        work_dir = [[ var "run_dir" . | quote ]]
        input    = [[ var "input" . | quote ]]
        restart  = [[ var "restart" . | quote ]]
        report   = [[ var "report" . ]]
        args     = [[ template "strings" (var "args" .) ]]
        [[- if ne (var "nodes" . | int) 1 ]]
        nodes         = [[ var "nodes" . ]]
        start_timeout = "30m"
        [[- end ]]
        [[- if var "checkpoint" . ]]
        checkpoint = [[ var "checkpoint" . | quote ]]
        [[- end ]]
        [[- if or (var "energy_ratio" .) (var "silence" .) ]]

        watch {
          energy_ratio = [[ var "energy_ratio" . | quote ]]
          silence      = [[ var "silence" . | quote ]]
          action       = [[ var "watch_action" . | quote ]]
        }
        [[- end ]]
      }

      kill_timeout = [[ var "kill_timeout" . | quote ]]

      resources {
        cores  = [[ var "cores" . ]]
        memory = [[ var "memory" . ]]
      }
    }
  }
}

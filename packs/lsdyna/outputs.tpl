The run is in [[ var "run_dir" . ]].

  nomad job status [[ template "job_name" . ]]
  nomad-driver-lsdyna inspect [[ var "run_dir" . ]]
